"""The settings that `nearfar pipeline init` writes, and the synthetic shop of its --example."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from nearfar.core.files import atomic_file

HEAD = """\
## A nearfar pipeline. Paths start from this file's folder; ${NAME} is an environment variable.
## What is commented out by one # is the default, by two an example or a remark.

registry = "registry"                # versions of the model, the pointer, what happened
## metrics_file = "nearfar.prom"     # for Prometheus' node exporter

"""
SOURCE = """\
[source]                             # where events come from
kind = "parquet"                     # a file or folder; of folders called date=YYYY-MM-DD or
##                                   # YYYY-MM-DD only those of the window are read
path = "events"                      # or "s3://bucket/events", any address that fsspec knows
## kind = "csv"                      # text: CSV, TSV or JSON lines, by its name and its start
## kind = "sql"
## url = "postgresql+psycopg://reader:${DB_PASSWORD}@host/db"
## table = "events"
## columns = { user = "customer_id", item = "sku", timestamp = "at", weight = "quantity" }
## columns = { user = "customer_id", item = "sku", timestamp = "at", kind = "event" }
##                                   # recognised by usual names where not given; rows that say that
##                                   # nothing happened (event impression or refund, clicked 0) are
##                                   # left out and counted: kind = "" and outcome = "" keep them
##                                   # kind csv has item_separator too: of items in one cell

"""
SINK = """\
[sink]                               # where recommendations go
kind = "parquet"
path = "recommendations"             # date=YYYY-MM-DD folders, swapped whole
## kind = "sql"
## url = "sqlite:///recommendations.db"
## table = "recommendations"

"""
ITEMS = """\
## [items]                           # titles, for who looks at a version or is served by it
## path = "items.csv"                # CSV, Parquet or an SQLite file (with table = "products")
## item = "item"                     # its columns; by default recognised by their names
## title = "title"
## genres = "genres"
## encoding = "latin-1"              # of a text file that is not UTF-8
## features = ["genres"]             # add items that came since the training, by these columns
## exposure = 1.0                    # how often they are recommended, relative to known ones

"""
REST = """\
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
## filters = { max_user = 300 }      # leave users with more items out of the training: robots
## kind_weights = "view=1,click=2,buy=5"  # of the source's column of kinds; others are left out
## weights = "linear"                # or log, none: what weights are in training; by default
##                                   # linear where columns.weight is there, as in nearfar train
##                                   # with --weight-column
## repeats = "max"                   # or sum: of several events of one user and item
# track = []                         # ["mlflow:mlruns"]: log trainings; or tensorboard:DIR, wandb
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
## rerank = { kind = "mmr", diversity = 0.3 }  # or dpp, calibrated; see guide/reranking.md
## rules = "rules.toml"              # boosts, pins, exclusions, quotas; read at every scoring
# candidates = 10                    # for each place of a list that is re-ranked
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
TEMPLATE = HEAD + SOURCE + SINK + ITEMS + REST


TASTES = 20
PER_TASTE = 30
FIRST = date(2026, 1, 5)
N_DAYS = 98


def shop_events(day: date, n_users: int) -> pl.DataFrame:
    """Return the events of a day: columns user, item, timestamp (UTC).

    There are half as many events as users. Each user has one of 20 tastes and takes every fifth
    item from a random taste. A taste starts with 30 items and gains one per week; the first in its
    order are the most popular, and the order shifts with the days. The same day always has the same
    events.
    """
    n = (day - FIRST).days
    rng = np.random.default_rng([7, abs(n), n_users])
    users = rng.integers(n_users, size=n_users // 2)
    strays = rng.random(len(users)) < 0.2
    tastes = (users + strays * rng.integers(TASTES, size=len(users))) % TASTES
    n_items = PER_TASTE + max(n, 0) // 7
    ranks = (n_items * rng.random(len(users)) ** 2).astype(int)
    items = tastes * 1000 + (ranks + n // 4) % n_items
    seconds = np.sort(rng.integers(86_400, size=len(users)))
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return pl.DataFrame({"user": users, "item": items, "timestamp": start + seconds}).with_columns(
        pl.from_epoch("timestamp").dt.replace_time_zone("UTC")
    )


def write_shop(folder: Path, n_users: int = 2000, n_days: int = N_DAYS) -> tuple[date, date]:
    """Write `date=YYYY-MM-DD/events.parquet` for each day; return the first and the last day."""
    days = [FIRST + timedelta(days=n) for n in range(n_days)]
    for day in days:
        target = folder / f"date={day}"
        target.mkdir(parents=True, exist_ok=True)
        with atomic_file(target / "events.parquet") as file:
            shop_events(day, n_users).write_parquet(file)
    return days[0], days[-1]
