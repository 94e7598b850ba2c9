"""How many processes work, and in which Ray cluster."""

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
    """Who does the work.

    A worker is a process with as many threads as it has CPUs. The folders that workers are given
    must be the same on all machines, as on a network file system.

    Args:
        count: workers.
        address: of a running Ray cluster, as "auto" or "10.0.0.1:6379"; without one, Ray is
            started on this machine and stopped at the end.
        cpus: CPUs per worker.
        gpus: GPUs per worker, 0 or 1.
        max_failures: how often training is taken up again after workers were lost.

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
        """Where workers compute."""
        return "cuda" if self.gpus else "cpu"

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Ray while the block lasts; a connection that is there already is used and stays.

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
        here = self.address is None
        try:
            ray.init(
                address="local" if here else self.address,
                num_cpus=self.count * self.cpus if here else None,
                include_dashboard=False if here else None,
                _node_ip_address="127.0.0.1" if here else None,  # closed to the network
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
