"""Log fits to MLflow."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nearfar._version import __version__
from nearfar.train.callback import State
from nearfar.train.trackers.tracker import Tracker

STATUS: dict[State, str] = {"finished": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
N_PARAMS = 100
"""Parameters that MLflow accepts in one request."""

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""By default MLflow, and the fit with it, waits minutes for a server that does not answer."""


class MLflow(Tracker):
    """Log to MLflow; `place` is a folder or a tracking URI, as http://HOST:5000.

    In a folder, mlflow.db is written; `mlflow ui --backend-store-uri sqlite:///DIR/mlflow.db`
    shows it. MLflow 3 does not write its older store of plain files. The experiment is called
    "nearfar", or what MLFLOW_EXPERIMENT_NAME says. Needs mlflow-skinny, SQLAlchemy and alembic; or
    mlflow.

    Examples:
        >>> run = nf.Run(seed=1, callbacks=[nf.MLflow("mlruns")])  # doctest: +SKIP
        >>> model = nf.EASE(l2=50).fit(split.train, run=run)  # doctest: +SKIP
    """

    MODULE: ClassVar[str] = "mlflow"

    def open(self, run: str | None, name: str, settings: Mapping[str, Any]) -> str:
        for variable, value in PATIENCE.items():
            os.environ.setdefault(variable, value)
        from mlflow.entities import Param  # pyright: ignore[reportMissingImports]
        from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

        client = self._client = MlflowClient(tracking_uri=self._uri())
        if run is not None:
            client.update_run(run, status="RUNNING")
            return run
        experiment_name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "nearfar")
        experiment = client.get_experiment_by_name(experiment_name)
        if experiment is None:
            experiment_id = self._new_experiment(experiment_name)
        else:
            experiment_id = experiment.experiment_id
        tags = {"nearfar.version": __version__}
        if self.group:
            tags["nearfar.group"] = self.group
        run = str(client.create_run(experiment_id, run_name=name, tags=tags).info.run_id)
        params = [Param(key, str(value)) for key, value in settings.items()]
        for first in range(0, len(params), N_PARAMS):
            client.log_batch(run, params=params[first : first + N_PARAMS])
        return run

    def log(self, values: Mapping[str, float], step: int, part: str) -> None:
        from mlflow.entities import Metric  # pyright: ignore[reportMissingImports]

        now, prefix = int(1000 * time.time()), f"{part}/" if part else ""
        metrics = [Metric(prefix + name, value, now, step) for name, value in values.items()]
        self._client.log_batch(self._run, metrics=metrics)

    def close(self, state: State) -> None:
        self._client.set_terminated(self._run, status=STATUS[state])

    def _uri(self) -> str:
        if "://" in self.place:
            return self.place
        folder = Path(self.place).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{folder}/mlflow.db"

    def _new_experiment(self, name: str) -> str:
        if "://" in self.place:
            return self._client.create_experiment(name)
        # By default MLflow writes the files of experiments in a database to the working directory.
        files = (Path(self.place).absolute() / "artifacts").as_uri()
        return self._client.create_experiment(name, artifact_location=files)
