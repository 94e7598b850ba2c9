"""How good a ranking is: one small file a metric, each a value such as `Recall() @ 20`."""
