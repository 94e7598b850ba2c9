"""Ray reads its environment when it is imported: this comes before any test does."""

import os

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # nodes are this machine's loopback alone
os.environ["RAY_TRAIN_METRICS_ENABLED"] = "0"
os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.5"
os.environ["GLOO_SOCKET_IFNAME"] = "lo"
