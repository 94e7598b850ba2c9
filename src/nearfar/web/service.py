"""The service: its models, queues, store and metrics, from start to stop."""

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
    """The state that all operations share.

    Args:
        settings: settings of the service.
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
        """Load the models and the report.

        Raises:
            NearfarError: see `read_report` and `Loader.load_all`.
        """
        if self.settings.report is not None:
            self.report = read_report(self.settings.report)
        self.loader.load_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the queues, the store and the watch for new versions during the block."""
        self.stopping = False
        if self.settings.store is not None:
            from nearfar.web.user_store import StoredRecommendations

            self.store = StoredRecommendations(
                self.settings.store, self.metrics, self.settings.limits
            )
        self.batcher.start()
        self.lookups.start()
        watch = asyncio.get_running_loop().create_task(self.loader.watch(), name="watch")
        try:
            yield
        finally:
            self.stopping = True
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
            # Stopped first, because requests are scored after their lookups.
            await self.lookups.stop()
            await self.batcher.stop()
            if self.store is not None:
                await self.store.close()
            log("stopped")

    @property
    def ready(self) -> bool:
        """Return whether requests are answered."""
        return bool(len(self.models)) and not self.stopping

    def arm_of(self, user: int | str | None, model: str | None = None) -> str | None:
        """Return the arm of a response; None without an experiment or a user.

        A response by another model than the arm's has no arm: as an exposure it would count for
        items that the user was not shown.

        Args:
            user: the user's id.
            model: the model that the request names, if any.

        Raises:
            ProblemError: the id is not valid UTF-8.
        """
        if self.settings.experiment is None or user is None:
            return None
        try:
            arm = self.settings.experiment.arm_of(user)
        except DataError:
            raise ProblemError(
                422, "invalid", "the user's id is not valid UTF-8; send valid text"
            ) from None
        return None if model is not None and model != arm and self.arms_choose else arm

    @property
    def arms_choose(self) -> bool:
        """Return whether all arms are names of models, so that an arm chooses the model."""
        experiment = self.settings.experiment
        return experiment is not None and all(arm in self.models for arm in experiment.arms)

    def choose(self, name: str | None, arm: str | None) -> ServedModel:
        """Return the named model, else that of the arm, else the default.

        Raises:
            ProblemError: there is no model of that name.
        """
        if name is None and arm is not None and self.arms_choose:
            name = arm
        return self.models.get(name)

    def told_apart(self, served: ServedModel) -> bool:
        """Return whether no other served model has the same version."""
        version = served.scorer.version
        return sum(other.scorer.version == version for other in self.models) == 1

    def experiment(self) -> dict[str, Any] | None:
        """Return the experiment as `/v1/model` shows it; None if there is none."""
        experiment = self.settings.experiment
        if experiment is None:
            return None
        return {
            "name": experiment.name, "arms": list(experiment.arms),
            "chooses_model": self.arms_choose,
        }  # fmt: skip
