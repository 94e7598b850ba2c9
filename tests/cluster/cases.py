"""A real Ray cluster of several nodes on this machine, and what is done on it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import polars as pl

from nearfar.store.sinks.sink import DayWriter

NODE = {
    "object_store_memory": 80 << 20,
    "node_ip_address": "127.0.0.1",
    "num_cpus": 1,
}


def start() -> Any:
    """A cluster with a head of one CPU, connected to from here."""
    import ray
    from ray.cluster_utils import Cluster

    system = {
        "health_check_period_ms": 500,
        "health_check_initial_delay_ms": 0,
        "worker_niceness": 0,  # 15 by default: beside other work tests would starve
    }
    head = {**NODE, "include_dashboard": False, "_system_config": system}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ray.init(
        address=cluster.address, _node_ip_address="127.0.0.1", log_to_driver=False,
        logging_level="ERROR",
    )  # fmt: skip
    return cluster


def stop(cluster: Any) -> None:
    import ray

    ray.shutdown()
    cluster.shutdown()


@dataclass
class Slow(DayWriter):
    """A writer that takes its time, so that a node can be lost meanwhile."""

    inner: DayWriter
    seconds: float

    @property
    def parts(self) -> list[int]:
        return self.inner.parts

    def write(self, rows: pl.DataFrame, part: int | None = None) -> None:
        time.sleep(self.seconds)
        self.inner.write(rows, part)

    def _stage(self, rows: pl.DataFrame, part: int) -> None:
        raise AssertionError("`write` stages")

    def publish(self) -> None:
        raise AssertionError("the day's own writer publishes")
