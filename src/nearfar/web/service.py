"""The service: models, queue, store and metrics, from start to stop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from nearfar.core.errors import DataError
from nearfar.web.loading import Loader
from nearfar.web.logs import log
from nearfar.web.lookups import Lookups
from nearfar.web.metrics import Metrics
from nearfar.web.micro_batcher import MicroBatcher
from nearfar.web.problems import ProblemError
from nearfar.web.report_file import ReportFile, read_report
from nearfar.web.served_models import ServedModel, ServedModels
from nearfar.web.settings import ServiceSettings

if TYPE_CHECKING:
    from nearfar.web.user_store import StoredRecommendations


class Service:
    """What the routes share.

    Args:
        settings: what it is started with.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.models = ServedModels()
        self.loader = Loader(settings, self.models, self.metrics)
        self.store: StoredRecommendations | None = None
        self.batcher = MicroBatcher(settings.limits, self.metrics)
        self.lookups = Lookups(settings.limits, self.metrics)
        self.report: ReportFile | None = None
        self.stopping = False

    def load(self) -> None:
        """Read all that is served at the start.

        Raises:
            NearfarError: see `read_report` and `Loader.load_all`.
        """
        if self.settings.report is not None:
            self.report = read_report(self.settings.report)
        self.loader.load_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answers requests while the block runs."""
        self.stopping = False
        if self.settings.store is not None:
            from nearfar.web.user_store import StoredRecommendations

            self.store = StoredRecommendations(
                self.settings.store, self.metrics, self.settings.limits
            )
        self.batcher.start()
        self.lookups.start()
        watching = asyncio.get_running_loop().create_task(self.loader.watch(), name="watch")
        try:
            yield
        finally:
            self.stopping = True
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
            # First: requests that look up titles are then scored.
            await self.lookups.stop()
            await self.batcher.stop()
            if self.store is not None:
                await self.store.close()
            log("stopped")

    @property
    def ready(self) -> bool:
        """Whether requests are answered."""
        return bool(len(self.models)) and not self.stopping

    def arm_of(self, user: int | str | None, asked: str | None = None) -> str | None:
        """The arm that the answer is of, where an experiment runs and the user is told.

        An answer by another model than the arm's is of no arm: in the log of exposures it would
        count for what the user was not shown.

        Args:
            user: the id.
            asked: the model that the request names, if any.

        Raises:
            ProblemError: the id is no text.
        """
        if self.settings.experiment is None or user is None:
            return None
        try:
            arm = self.settings.experiment.arm_of(user)
        except DataError:
            raise ProblemError(422, "invalid", "the user's id is no text of UTF-8") from None
        return None if asked is not None and asked != arm and self.arms_choose else arm

    @property
    def arms_choose(self) -> bool:
        """Whether all arms are names of models, and so choose among them."""
        experiment = self.settings.experiment
        return experiment is not None and all(arm in self.models for arm in experiment.arms)

    def choose(self, name: str | None, arm: str | None) -> ServedModel:
        """The model asked for, else that of the arm, else the default.

        Raises:
            ProblemError: there is none of that name.
        """
        if name is None and arm is not None and self.arms_choose:
            name = arm
        return self.models.get(name)

    def told_apart(self, served: ServedModel) -> bool:
        """Whether the model's version is that of no other model served."""
        version = served.scorer.version
        return sum(other.scorer.version == version for other in self.models) == 1

    def experiment(self) -> dict[str, Any] | None:
        """What `/v1/model` tells of the experiment."""
        experiment = self.settings.experiment
        if experiment is None:
            return None
        return {
            "name": experiment.name, "arms": list(experiment.arms),
            "chooses_model": self.arms_choose,
        }  # fmt: skip
