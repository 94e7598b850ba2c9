"""The commented settings that `nearfar pipeline init` writes."""

TEMPLATE = """\
## A nearfar pipeline. Paths start from this file's folder; ${NAME} is an environment variable.
## What is commented out by one # is the default, by two an example or a remark.

registry = "registry"                # versions of the model, the pointer, what happened
## metrics_file = "nearfar.prom"     # for Prometheus' node exporter

[source]                             # where events come from
kind = "parquet"                     # a file or folder; date=YYYY-MM-DD folders are told by name
path = "events"                      # or "s3://bucket/events", any address that fsspec knows
## kind = "csv"
## kind = "sql"
## url = "postgresql+psycopg://reader:${DB_PASSWORD}@host/db"
## table = "events"
## columns = { user = "customer_id", item = "sku", timestamp = "at" }

[sink]                               # where recommendations go
kind = "parquet"
path = "recommendations"             # date=YYYY-MM-DD folders, swapped whole
## kind = "sql"
## url = "sqlite:///recommendations.db"
## table = "recommendations"

## [items]                           # titles, for who looks at a version or is served by it
## path = "items.csv"                # Parquet or CSV
## item = "item"                     # its columns; genres may be missing
## title = "title"
## genres = "genres"

[algorithm]                          # as in nearfar train
kind = "multvae"
## alignment = { kind = "pia", weight = 1.0 }  # the paper's own term; see docs/production.md

[train]
# every_days = 7                     # a training is due when the last one is so old
# window_days = 90                   # the paper's three months
## held_out = 0.1                    # share of users that no version is trained on, half for the
##                                   # gates; by default chosen at the first training (.05 to .2)
# holdout_days = 7                   # their last days' items are the targets
# warm_start = false                 # go on from the published version's weights
# publish = true                     # make a version current as soon as it passed the gates
# filters = { min_user = 0, min_item = 0 }
# seed = 0
# device = "auto"                    # or cpu, cuda; of scoring too
# precision = "float32"              # or bfloat16: faster where the processor is made for it
# checkpoint_seconds = 60.0          # at most so long between checkpoints; 0: after every step
# exports = []                       # ["onnx"]: for nearfar serve --registry --runtime onnx

[score]
# active_days = 28                   # users with an event in so many days
# k = 20
# exclude_seen = true                # leave out the user's items of the window
# deny = []                          # ids of items that are never recommended
## deny_file = "deny.txt"            # the same, an id a line; read at every scoring
# part_users = 20000                 # a killed run goes on after its last part
## experiment = "test.toml"          # an A/B test, as for nearfar abtest:
## arm = "control"                   # score the users of this arm alone

[gates]                              # relative to the current version, on the same users
# max_ndcg_drop = 0.02
# min_over_popularity = 0.0
# max_coverage_drop = 0.2
# max_group_drop = 0.1               # of users by activity
# min_group_users = 100              # smaller groups are not judged
# max_catalogue_change = 0.5
# max_activity_change = 0.5
# max_collapsed = 0.9
# min_users = 10                     # held-out users; the first version passes with fewer

[retention]                          # by default everything is kept
## days = 90                         # published days of recommendations
## versions = 12                     # of the model; current and rollback's always stay

[contract]                           # what events must be; the rest goes to registry/quarantine
# max_missing_share = 0.01
# max_unusable_share = 0.01
# max_misdated_share = 0.05
# max_repeated_share = 0.1
# max_rejected_share = 0.1
# clock_tolerance_seconds = 300.0    # how far ahead of this machine's clock an event may be
# min_volume_ratio = 0.3             # of a day, to the median of the days before
# max_volume_ratio = 3.0
# volume_days = 1                    # how many last days are looked at so
# median_days = 28                   # how many days before make the median
# min_median_days = 7                # with fewer, a day is not looked at
"""
