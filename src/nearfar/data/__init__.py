"""From an interaction log to sparse matrices: sources, filters, time window, splits.

    log = read_log("ratings.csv", filters=Filters(min_rating=4, min_user=5))   # data.log, .filters
    split = split_strong(log, n_held_out=600)                                  # data.splits.strong
    save_split(split, "split")                                                 # data.splits.folder

`data.fetch` downloads published data sets, `data.inspect` describes a log, `data.sources` holds
one file a format, `data.splits` one file a protocol. What all of them hand on is
`data.interactions`: CSR matrices with the ids of their rows and columns.
"""
