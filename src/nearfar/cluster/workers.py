"""The number of worker processes, and their Ray cluster."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le

from nearfar.core.errors import NearfarError
from nearfar.core.extras import require
from nearfar.core.ranges import NonNegativeInt, PositiveInt
from nearfar.core.settings import Settings


@dataclass(frozen=True)
class Workers(Settings):
    """The workers of a training or a scoring.

    A worker is a process with as many threads as CPUs. All machines must see the folders that
    workers use, as on a network file system.

    Args:
        count: number of workers.
        address: address of a running Ray cluster, such as "auto" or "10.0.0.1:6379"; None starts
            Ray on this machine and stops it at the end.
        cpus: CPUs per worker.
        gpus: GPUs per worker, 0 or 1.
        max_failures: how often training resumes after lost workers.

    Raises:
        SettingsError: a value is out of range.

    Examples:
        >>> from nearfar.cluster.workers import Workers
        >>> Workers(count=4, address="auto", cpus=8).max_failures
        3
    """

    count: PositiveInt = 2
    address: str | None = None
    cpus: PositiveInt = 1
    gpus: Annotated[int, Ge(0), Le(1)] = 0
    max_failures: NonNegativeInt = 3

    @property
    def device(self) -> str:
        """The device of the workers."""
        return "cuda" if self.gpus else "cpu"

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Connect to Ray for the block; an existing connection is used and stays open.

        Raises:
            MissingExtraError: Ray is not installed.
            NearfarError: there is no cluster at the address.
        """
        require("ray", extra="cluster", purpose="work on several machines")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        if ray.is_initialized():
            yield
            return
        is_local = self.address is None
        try:
            ray.init(
                address="local" if is_local else self.address,
                num_cpus=self.count * self.cpus if is_local else None,
                include_dashboard=False if is_local else None,
                _node_ip_address="127.0.0.1" if is_local else None,  # closed to the network
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
        except (ConnectionError, RuntimeError) as error:
            raise NearfarError(
                f"no Ray cluster can be reached at {self.address!r} ({error}); start one with "
                "`ray start --head`, or leave the address out"
            ) from None
        try:
            yield
        finally:
            ray.shutdown()
