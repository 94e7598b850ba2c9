"""The settings that the service is started with."""

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
    """The limits of load and time of the service.

    Args:
        batch_users: histories per batch.
        wait_seconds: how long the first history of a batch waits for others while the scoring
            thread is idle.
        queue_users: histories that may wait; requests beyond are answered with 429.
        deadline_seconds: time in which a request must be answered, or else with 504.
        body_bytes: largest body of a request; a larger one is answered with 413.
        body_seconds: time in which head and body of a request must arrive, or else 408.
        drain_seconds: time for the requests in progress when the service stops.
        watch_seconds: time between two checks of the registry's pointer.
        connections: open connections; further ones are answered with 503.
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
    """The settings of a service: what it serves, how and to whom.

    Args:
        bundles: name -> folder of a bundle, or of an export for the runtime "onnx"; the first is
            the default.
        registry: folder of a pipeline's registry, given instead of bundles. Its current version is
            served under the name "current", and the next as soon as it is published.
        indices: folders of indices; each is used for the bundle that it belongs to.
        runtime: what scores: "torch" for bundles, "onnx" for exports.
        threads: threads that score; by default one less than the number of processors.
        store: stored recommendations.
        histories: file of users' histories, for users without stored recommendations; see
            `read_histories`.
        data: folder of a split, whose users the map shows.
        items: file of titles and genres, for models without them; see `Titles`.
        report: HTML file of `nearfar report`, served at /report.
        experiment: assigns users to arms; an arm named like a model chooses that model.
        rerank: how to choose lists from the best candidates, for example "mmr diversity=0.3".
        rules: file of boosts, pins, exclusions and quotas, read with every new version.
        candidates: candidates per place of a re-ranked list.
        token: bearer token that requests must have; None for none.
        origins: origins of other sites whose pages may call the service (CORS).
        limits: limits of load and time.

    Raises:
        SettingsError: neither bundles nor a registry are given, or both; an index is given with a
            registry, or twice; threads or candidates is below 1; the token is too short; or the
            name of an arm cannot be a header's value.
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
        """The re-ranking of lists, with the rules read again; None for none.

        Raises:
            SettingsError: a setting or the rule file is wrong.
        """
        return Reranking.if_any(self.rerank, self.rules, self.candidates)

    def __post_init__(self) -> None:
        for name in ("threads", "candidates"):
            check_value(ServiceSettings, name, getattr(self, name), name)
        if bool(self.bundles) == (self.registry is not None):
            raise SettingsError("give either bundles (--bundle) or a registry (--registry)")
        if self.indices and self.registry is not None:
            raise SettingsError(
                "an index (--index) is of one version of a registry and does not fit the next; "
                "serve the version's bundle instead (--bundle)"
            )
        if len(set(self.indices)) < len(self.indices):
            raise SettingsError("an index (--index) is named twice; name each once")
        arms = () if self.experiment is None else self.experiment.arms
        for arm in arms:
            if not re.fullmatch(ARM_NAME, arm):
                raise SettingsError(
                    f"the experiment has the arm {arm!r}, which cannot be sent in the header "
                    "X-Nearfar-Arm; use printable ASCII characters, without a space at either end"
                )
        # Not a declared range: its message would quote the secret.
        if self.token is not None and (len(self.token) < MIN_TOKEN or not self.token.isascii()):
            raise SettingsError(
                f"{TOKEN} is shorter than {MIN_TOKEN} characters or not ASCII; make one, for "
                "example by: openssl rand -hex 32"
            )


def from_environment(environment: Mapping[str, str]) -> tuple[str | None, tuple[str, ...]]:
    """Return the token and the origins from environment variables."""
    origins = tuple(o.strip() for o in environment.get(ORIGINS, "").split(",") if o.strip())
    return environment.get(TOKEN) or None, origins


def open_store(address: str, ids: str) -> RecommendationSink:
    """Open the store of recommendations at a database's URL or in a folder of Parquet files.

    Args:
        address: the URL or the folder.
        ids: type of the user ids in the store, "text" or "integer".

    Raises:
        SettingsError: the address is invalid, or an environment variable in it is not set.
        MissingExtraError: the database's library is not installed.
    """
    kind, name = ("sql", "url") if "://" in address else ("parquet", "path")
    sink = make_sink(kind, {name: address, "ids": ids})
    sink.check()
    return sink
