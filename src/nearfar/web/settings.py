"""What the service is started with."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from nearfar.abtest.assignment import Experiment
from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, PositiveFloat, PositiveInt
from nearfar.core.settings import Settings, check_value
from nearfar.reranking.reranking import Reranking
from nearfar.store.sinks.sink import RecommendationSink, make_sink

Runtime = Literal["torch", "onnx"]

TOKEN = "NEARFAR_TOKEN"
ORIGINS = "NEARFAR_CORS_ORIGINS"
MIN_TOKEN = 16
ARM_NAME = r"[!-~]([ -~]*[!-~])?"


@dataclass(frozen=True)
class Limits(Settings):
    """How much the service takes on, and how long it waits.

    Args:
        batch_users: histories scored at once.
        wait_seconds: how long the first of a batch waits for others, while nothing is scored.
        queue_users: histories that may wait; a request beyond them is answered 429.
        deadline_seconds: how long a request may wait and be scored in all (504).
        body_bytes: of a request (413).
        body_seconds: in which a request must have arrived whole, its head too (408).
        drain_seconds: for the requests in progress when the service is told to stop.
        watch_seconds: between two looks at the registry's pointer.
        connections: open at once; further ones are answered 503.
    """

    batch_users: PositiveInt = 32
    wait_seconds: NonNegativeFloat = 0.002
    queue_users: PositiveInt = 512
    deadline_seconds: PositiveFloat = 2.0
    body_bytes: PositiveInt = 1 << 20
    body_seconds: PositiveFloat = 10.0
    drain_seconds: PositiveFloat = 30.0
    watch_seconds: PositiveFloat = 2.0
    connections: PositiveInt = 2048


@dataclass(frozen=True)
class ServiceSettings:
    """What to serve, and to whom.

    Args:
        bundles: folders of bundles, or of exports for the runtime "onnx", by name; the first is
            the default.
        registry: the folder of a pipeline's registry, whose current version is served under the
            name "current", and the next as soon as it is published; instead of bundles.
        indices: folders of indices of the bundles' items, each for the bundle that it is of.
        runtime: what computes.
        threads: that compute; by default one less than there are processors.
        store: recommendations that were made before.
        histories: a file of users' histories, for those without any; see `read_histories`.
        data: a split folder, whose users the map shows.
        items: a file of titles and genres, for models that have none; see `Titles`.
        report: an HTML file of `nearfar report`, served at /report.
        experiment: tells users' arms; arms called as models choose these.
        rerank: how lists are chosen from the best candidates, as "mmr diversity=0.3".
        rules: a file of boosts, pins, exclusions and quotas, read with every new version.
        candidates: for each place of a list that is re-ranked.
        token: that requests must bear, if any.
        origins: of pages elsewhere that may ask (CORS).
        limits: see `Limits`.

    Raises:
        SettingsError: neither bundles nor a registry are given, or both; an index is given with a
            registry, or twice; threads or candidates is below 1; the token is short; or an arm's
            name does not fit a header.
    """

    bundles: Mapping[str, Path] = field(default_factory=dict)
    registry: Path | None = None
    indices: tuple[Path, ...] = ()
    runtime: Runtime = "torch"
    threads: PositiveInt = field(default_factory=lambda: max(1, (os.cpu_count() or 2) - 1))
    store: RecommendationSink | None = None
    histories: Path | None = None
    data: Path | None = None
    items: Path | None = None
    report: Path | None = None
    experiment: Experiment | None = None
    rerank: str | None = None
    rules: Path | None = None
    candidates: PositiveInt = 10
    token: str | None = field(default=None, repr=False)
    origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    @property
    def reranking(self) -> Reranking | None:
        """How lists are re-ranked, the rules read anew; None where they are not.

        Raises:
            SettingsError: a setting or the rule file is wrong.
        """
        return Reranking.if_any(self.rerank, self.rules, self.candidates)

    def __post_init__(self) -> None:
        for name in ("threads", "candidates"):
            check_value(ServiceSettings, name, getattr(self, name), name)
        if bool(self.bundles) == (self.registry is not None):
            raise SettingsError("name bundles (--bundle) or a registry (--registry), one of them")
        if self.indices and self.registry is not None:
            raise SettingsError(
                "an index (--index) is of one version of a registry, and does not fit the next: "
                "serve the version's bundle (--bundle)"
            )
        if len(set(self.indices)) < len(self.indices):
            raise SettingsError("an index (--index) is named twice")
        arms = () if self.experiment is None else self.experiment.arms
        for arm in arms:
            if not re.fullmatch(ARM_NAME, arm):
                raise SettingsError(
                    f"the experiment has the arm {arm!r}; the service tells arms in the header "
                    "X-Nearfar-Arm: name it by ASCII's printable characters, no space at its ends"
                )
        # Not a declared range: its message would quote the secret.
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise SettingsError(
                f"{TOKEN} is shorter than {MIN_TOKEN} characters, or has others than ASCII's; "
                "make one, as by: openssl rand -hex 32"
            )


def from_environment(environment: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """The token and the origins that the environment names."""
    origins = tuple(o.strip() for o in environment.get(ORIGINS, "").split(",") if o.strip())
    return environment.get(TOKEN) or None, origins


def open_store(address: str, ids: str) -> RecommendationSink:
    """The sink at an address: a database's URL, or a folder of Parquet files.

    Raises:
        SettingsError: it is no such address, or a variable in it is not set.
        MissingExtraError: the database's library is not installed.
    """
    kind, name = ("sql", "url") if "://" in address else ("parquet", "path")
    sink = make_sink(kind, {name: address, "ids": ids})
    sink.check()
    return sink
