"""Tracked runs: what goes in, that a resumed fit goes on in the same one, and failing trackers.

Those of MLflow and W&B are run where these are installed.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import nearfar as nf
from nearfar.core import extras
from nearfar.core.errors import MissingExtraError, SettingsError, UnknownNameError
from nearfar.train.callback import Callback, State
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.train.trackers import tracker as module
from nearfar.train.trackers.mlflow import MLflow
from nearfar.train.trackers.tensorboard import TensorBoard
from nearfar.train.trackers.tracker import Tracker
from nearfar.train.trackers.wandb import WandB
from nearfar.train.tracking import make_tracker, trackers

VAE = nf.MultVAE(
    n_latent=4,
    encoder=nf.encoders.Base((6,)),
    decoder_hidden=(6,),
    epochs=4,
    batch_size=60,
    patience=0,
)
STEPS = [2, 4, 6, 8]
"""At the end of each epoch of 120 users in batches of 60."""


class Memory(Tracker):
    """Keeps what is logged, by run."""

    MODULE: ClassVar[str] = "json"
    RUNS: ClassVar[dict[str, list[tuple[str, int, dict[str, float]]]]] = {}
    CLOSED: ClassVar[list[State]] = []
    SETTINGS: ClassVar[list[Mapping[str, Any]]] = []
    error: Exception | None = None

    def open(self, run: str | None, name: str, settings: Mapping[str, Any]) -> str:
        run = run or f"{name} {len(self.RUNS)}"
        self.SETTINGS.append(settings)
        self.RUNS.setdefault(run, [])
        return run

    def log(self, values: Mapping[str, float], step: int, part: str) -> None:
        if self.error is not None:
            raise self.error
        self.RUNS[self._run].append((part, step, dict(values)))

    def close(self, state: State) -> None:
        self.CLOSED.append(state)

    @classmethod
    def steps_of(cls, name: str) -> list[int]:
        (entries,) = cls.RUNS.values()
        return [step for _, step, values in entries if name in values]


@pytest.fixture(autouse=True)
def _forgotten() -> None:
    for kept in (Memory.RUNS, Memory.CLOSED, Memory.SETTINGS):
        kept.clear()


class PowerCut(BaseException):
    """As a kill, it leaves what is on the disk as it is."""


class Dies(Callback):
    """Ends the fit after an epoch was logged and before its checkpoint."""

    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def epoch(self, record: EpochRecord, /) -> None:
        if record.epoch == self.at:
            raise PowerCut


def stopped(clusters, folder: Path, killed: Tracker) -> None:
    """A fit that dies after its third epoch was logged; the last checkpoint is of the second."""
    killed.end = lambda *_: None  # a killed process tells nobody
    run = Run(device="cpu", folder=folder, checkpoint_epochs=1, callbacks=(killed, Dies(2)))
    with pytest.raises(PowerCut):
        VAE.fit(*clusters, run=run)


def resumed(clusters, folder: Path, tracker: Tracker) -> nf.History:
    run = Run(device="cpu", folder=folder, resume=True, callbacks=(tracker,))
    VAE.fit(*clusters, run=run)
    return run.history


def test_a_tracked_run_holds_settings_epochs_and_the_best(clusters) -> None:
    run = Run(device="cpu", seed=4, callbacks=(Memory("here"),))
    nf.MultVAE(**{**vars(VAE), "alignment": nf.PIA(weight=0.5)}).fit(*clusters, run=run)
    ((name, entries),) = Memory.RUNS.items()
    assert name.startswith("MultVAE(")
    (settings,) = Memory.SETTINGS
    assert settings["alignment.weight"] == 0.5
    assert (settings["algorithm"], settings["seed"], settings["n_users"]) == ("multvae", 4, 120)
    assert settings["decoder_hidden"] == "[6]"
    assert [step for _, step, values in entries if "epoch" in values] == STEPS
    first = run.history.records[0]
    logged = entries[0][2]
    assert logged["train/kl"] == first.terms["kl"]
    assert logged["train/loss"] == first.loss
    assert logged["weight/alignment"] == first.weights["alignment"]
    assert logged["validation/NDCG_at_100"] == first.validation["NDCG@100"]
    assert run.history.best_epoch is not None
    best = run.history.records[run.history.best_epoch]
    assert entries[-1] == (
        "",
        STEPS[-1],
        {"best/epoch": best.epoch + 1}
        | {f"best/{m.replace('@', '_at_')}": v for m, v in best.validation.items()},
    )
    assert Memory.CLOSED == ["finished"]


def test_steps_are_logged_now_and_then(clusters, monkeypatch) -> None:
    monkeypatch.setattr(module, "EVERY_STEPS", 3)
    VAE.fit(*clusters, run=Run(device="cpu", callbacks=(Memory("here"),)))
    assert Memory.steps_of("step/kl") == [3, 6]


def test_a_resumed_fit_goes_on_in_the_same_tracked_run_and_repeats_nothing(
    clusters, tmp_path: Path
) -> None:
    stopped(clusters, tmp_path, Memory("here"))
    assert Memory.steps_of("epoch") == STEPS[:3]
    resumed(clusters, tmp_path, Memory("here"))
    assert Memory.steps_of("epoch") == STEPS
    VAE.fit(*clusters, run=Run(device="cpu", folder=tmp_path, callbacks=(Memory("here"),)))
    assert len(Memory.RUNS) == 2  # a fit that does not resume is another run


def test_a_resumed_fit_with_a_tracker_of_another_place_is_a_run_of_its_own(
    clusters, tmp_path: Path
) -> None:
    stopped(clusters, tmp_path, Memory("here"))
    resumed(clusters, tmp_path, Memory("there"))
    assert len(Memory.RUNS) == 2


def test_a_tracker_that_fails_says_so_once_and_the_fit_goes_on(clusters, caplog) -> None:
    failing, other = Memory("full"), Memory("other")
    failing.error = OSError(28, "No space left on device")
    run = Run(device="cpu", callbacks=(failing, other))
    model = VAE.fit(*clusters, run=run)
    alone = VAE.fit(*clusters, run=Run(device="cpu"))
    x = clusters[1].fold_in.x
    assert (model.score(x) == alone.score(x)).all()
    warnings = [r.getMessage() for r in caplog.records if "untracked" in r.getMessage()]
    assert len(warnings) == 1
    assert "full failed ([Errno 28] No space left on device)" in warnings[0]
    assert [len(entries) for entries in Memory.RUNS.values()] == [0, 5]


def test_parts_of_a_blend_are_parts_of_one_tracked_run(clusters) -> None:
    blend = nf.Blend(parts=(VAE, nf.EASE(l2=3.0), VAE), weights=(1, 1, 1))
    blend.fit(*clusters, run=Run(device="cpu", callbacks=(Memory("here"),)))
    (entries,) = Memory.RUNS.values()
    epochs = [(part, step) for part, step, values in entries if "epoch" in values]
    assert epochs == [(part, step) for part in ("part-0", "part-2") for step in STEPS]
    assert Memory.CLOSED == ["finished"]
    assert Memory.SETTINGS[0]["algorithm"] == "blend"


def test_networks_that_are_tried_are_parts_of_one_tracked_run(clusters) -> None:
    """The best of them all is told of the fit; in a blend they are parts of a part."""
    run = Run(device="cpu", callbacks=(Memory("here"),))
    tried = replace(VAE, richer=True, epochs=1)
    tried.fit(*clusters, run=run)
    (entries,) = Memory.RUNS.values()
    assert [part for part, _, values in entries if "epoch" in values] == [
        "part-0",
        "part-1",
        "part-2",
    ]
    assert [part for part, _, values in entries if "best/epoch" in values] == [""]
    Memory.RUNS.clear()
    nf.Blend(parts=(nf.EASE(l2=3.0), tried), weights=(1, 1)).fit(*clusters, run=run)
    (entries,) = Memory.RUNS.values()
    parts = [part for part, _, values in entries if "epoch" in values]
    assert parts == ["part-1/part-0", "part-1/part-1", "part-1/part-2"]
    assert [part for part, _, values in entries if "best/epoch" in values] == ["part-1"]


def test_as_a_context_it_stays_open_for_what_is_measured(clusters) -> None:
    with trackers([f"{__name__}.Memory:here"], "mine", "group") as (tracker,):
        assert isinstance(tracker, Memory)
        assert (tracker.place, tracker.group) == ("here", "group")
        nf.EASE(l2=3.0).fit(clusters[0], run=Run(callbacks=(tracker,)))
        assert Memory.CLOSED == []
        tracker.measured({"Recall@20(all)": 0.5, "bad": float("nan")})
    assert Memory.RUNS == {"mine 0": [("", 0, {"measured/Recall_at_20_all": 0.5})]}
    assert Memory.CLOSED == ["finished"]


def test_a_failed_fit_is_closed_as_failed(clusters) -> None:
    with pytest.raises(PowerCut):
        VAE.fit(*clusters, run=Run(device="cpu", callbacks=(Memory("here"), Dies(1))))
    assert Memory.CLOSED == ["failed"]


def test_targets_that_cannot_be(monkeypatch) -> None:
    with pytest.raises(UnknownNameError, match="unknown tracker 'mlfow'; did you mean 'mlflow'"):
        make_tracker("mlfow:dir")
    with pytest.raises(SettingsError, match="tensorboard needs a place; write tensorboard:DIR"):
        make_tracker("tensorboard")
    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"--track wandb needs W&B.*nearfar\[track\]"):
        make_tracker("wandb")


def events_of(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """The values that TensorBoard shows of a run's folder, by tag."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at < len(data):
            (size,) = struct.unpack_from("<Q", data, at)
            event = Event.FromString(data[at + 12 : at + 12 + size])
            at += size + 16
            if event.session_log.status == SessionLog.START:
                for tag, values in found.items():
                    found[tag] = [v for v in values if v[0] < event.step]
            for value in event.summary.value:
                if value.WhichOneof("value") == "simple_value":
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


def test_tensorboard_shows_a_stopped_and_resumed_fit_as_one(clusters, tmp_path: Path) -> None:
    logs, folder = tmp_path / "logs", tmp_path / "run"
    killed = TensorBoard(logs, "mine")
    stopped(clusters, folder, killed)
    killed.close("failed")  # only its file
    history = resumed(clusters, folder, TensorBoard(logs, "mine"))
    assert [p.name for p in logs.iterdir()] == ["mine"]
    shown = events_of(logs / "mine")
    assert [step for step, _ in shown["epoch"]] == STEPS
    scores = [r.validation["NDCG@100"] for r in history.records]
    assert [v for _, v in shown["validation/NDCG_at_100"]] == pytest.approx(scores)
    assert len(shown["best/epoch"]) == 1
    with TensorBoard(logs, "mine") as again:
        nf.EASE(l2=3.0).fit(clusters[0], run=Run(callbacks=(again,)))
        again.measured({"NDCG@100": 0.25})
    assert events_of(logs / "mine-2") == {"measured/NDCG_at_100": [(0, 0.25)]}


def test_tensorboard_keeps_all_when_only_the_end_is_missing(clusters, tmp_path: Path) -> None:
    """Killed after the last epoch: what is resumed has nothing but the summary to log."""
    logs, folder = tmp_path / "logs", tmp_path / "run"
    killed = TensorBoard(logs)
    killed.end = lambda *_: None
    run = Run(device="cpu", folder=folder, checkpoint_epochs=1, callbacks=(killed,))
    VAE.fit(*clusters, run=run)
    killed.close("failed")  # only its file
    resumed(clusters, folder, TensorBoard(logs))
    (shown,) = [events_of(path) for path in logs.iterdir()]
    assert [step for step, _ in shown["epoch"]] == STEPS
    assert [step for step, _ in shown["best/NDCG_at_100"]] == STEPS[-1:]


def test_a_place_that_cannot_be_written_is_told_and_the_fit_goes_on(
    clusters, tmp_path: Path, caplog
) -> None:
    (tmp_path / "file").write_text("")
    run = Run(device="cpu", callbacks=(TensorBoard(tmp_path / "file"),))
    VAE.fit(*clusters, run=run)
    assert len(run.history.records) == 4
    assert sum("untracked" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_a_stopped_and_resumed_fit_as_one_run(clusters, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient  # pyright: ignore[reportMissingImports]

    logs, folder = tmp_path / "logs", tmp_path / "run"
    stopped(clusters, folder, MLflow(logs, "mine", "search"))
    history = resumed(clusters, folder, MLflow(logs, "mine", "search"))
    client = MlflowClient(tracking_uri=f"sqlite:///{logs}/mlflow.db")
    experiment = client.get_experiment_by_name("nearfar")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.data.tags["nearfar.group"] == "search"
    assert run.data.params["n_latent"] == "4"
    values = client.get_metric_history(run.info.run_id, "validation/NDCG_at_100")
    assert [v.step for v in values] == STEPS
    scores = [r.validation["NDCG@100"] for r in history.records]
    assert [v.value for v in values] == pytest.approx(scores)
    assert run.data.metrics["best/epoch"] == (history.best_epoch or 0) + 1


@pytest.mark.filterwarnings("ignore")
def test_wandb_offline_has_a_stopped_and_resumed_fit_under_one_id(
    clusters, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    folder = tmp_path / "run"
    stopped(clusters, folder, WandB("project", "mine"))
    resumed(clusters, folder, WandB("project", "mine"))
    written = sorted(p.name for p in (tmp_path / "wandb").glob("offline-run-*"))
    ids = {name.rpartition("-")[2] for name in written}
    assert (len(written), len(ids)) == (2, 1)
