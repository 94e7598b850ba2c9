"""How good a model is: per-user values first; means, intervals, groups and tests after."""
