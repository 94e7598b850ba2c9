"""What callbacks are told of a fit, in which order, and what they cost."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import nearfar as nf
from nearfar.core.errors import SettingsError, StoppedError
from nearfar.train import state
from nearfar.train.callback import Callback, CheckpointReport, EndReport, StartReport
from nearfar.train.checkpoint import NAME
from nearfar.train.history import EpochRecord, StepReport
from nearfar.train.run import Run

VAE = nf.MultVAE(
    n_latent=4,
    encoder=nf.encoders.Base((6,)),
    decoder_hidden=(6,),
    epochs=2,
    batch_size=60,
    patience=0,
)


class Notes(Callback):
    """Keeps the events; acts at one step."""

    def __init__(self, at: int | None = None, act=lambda: None) -> None:
        self.events: list[tuple[str, object]] = []
        self.at, self.act = at, act

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    def of(self, name: str) -> list:
        return [report for event, report in self.events if event == name]

    def start(self, report: StartReport, /) -> None:
        self.events.append(("start", report))

    def part(self, name: str, /) -> None:
        self.events.append(("part", name))

    def step(self, report: StepReport, /) -> None:
        self.events.append(("step", report))
        if report.total_step == self.at:
            self.act()

    def epoch(self, record: EpochRecord, /) -> None:
        self.events.append(("epoch", record))

    def checkpoint(self, report: CheckpointReport, /) -> None:
        self.events.append(("checkpoint", report))

    def end(self, report: EndReport, /) -> None:
        self.events.append(("end", report))

    def measured(self, metrics: Mapping[str, float], /) -> None:
        self.events.append(("measured", metrics))


def test_a_training_tells_all_of_itself_in_order(clusters, tmp_path: Path) -> None:
    """120 users in batches of 60 are two steps per epoch."""
    notes = Notes()
    run = Run(seed=3, device="cpu", folder=tmp_path, checkpoint_epochs=2, callbacks=[notes])
    VAE.fit(*clusters, run=run)
    steps = ["step", "step", "epoch"]
    assert notes.names == ["start", *steps, *steps, "checkpoint", "end"]
    (start,), (end,), (checkpoint,) = notes.of("start"), notes.of("end"), notes.of("checkpoint")
    assert (start.algorithm, start.seed, start.folder) == ("multvae", 3, tmp_path)
    assert (start.n_users, start.n_items, start.resume) == (120, 24, False)
    assert start.settings["n_latent"] == 4
    assert [s.total_step for s in notes.of("step")] == [1, 2, 3, 4]
    assert [s.step for s in notes.of("step")] == [1, 2, 1, 2]
    assert notes.of("epoch") == run.history.records
    assert (checkpoint.path, checkpoint.epoch, checkpoint.step) == (tmp_path / NAME, 2, 4)
    assert checkpoint.path.exists()
    assert (end.state, end.reason, end.n_epochs) == ("finished", None, 2)
    assert run.history.best_epoch is not None
    assert end.best == run.history.records[run.history.best_epoch]


def test_closed_forms_tell_of_start_and_end(clusters) -> None:
    train, _ = clusters
    first, second = Notes(), Notes()
    nf.EASE().fit(train, run=Run(callbacks=(first, second)))
    assert first.names == second.names == ["start", "end"]
    assert first.of("start")[0].settings["l2"] == nf.EASE().resolved(train).l2
    assert first.of("end")[0].best is None


def test_a_blend_encloses_its_parts(clusters) -> None:
    notes = Notes()
    blend = nf.Blend(parts=(nf.EASE(l2=3.0), VAE), weights=(1, 1))
    blend.fit(*clusters, run=Run(device="cpu", callbacks=(notes,)))
    outline = [name for name in notes.names if name != "step"]
    part = ["part", "start"]
    assert outline == ["start", *part, "end", *part, "epoch", "epoch", "end", "end"]
    assert [s.algorithm for s in notes.of("start")] == ["blend", "ease", "multvae"]
    assert notes.of("part")[0] == "EASE(l2=3)"


def test_an_error_ends_the_fit_and_all_are_told(clusters) -> None:
    def fail() -> None:
        raise ConnectionError("gone")

    first, last = Notes(at=3, act=fail), Notes()
    with pytest.raises(ConnectionError):
        VAE.fit(*clusters, run=Run(device="cpu", callbacks=(first, last)))
    for notes in (first, last):
        (end,) = notes.of("end")
        assert (end.state, end.reason, end.n_epochs) == ("failed", "gone", 1)


def test_control_c_is_told_as_such(clusters) -> None:
    notes = Notes(at=3, act=lambda: signal.raise_signal(signal.SIGINT))
    VAE.fit(*clusters, run=Run(device="cpu", keep_on_interrupt=True, callbacks=(notes,)))
    assert notes.of("end")[0].state == "interrupted"
    early = Notes(at=1, act=lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(StoppedError):
        VAE.fit(*clusters, run=Run(device="cpu", keep_on_interrupt=True, callbacks=(early,)))
    assert early.of("end")[0].state == "interrupted"


@contextmanager
def sigterm_handled_by(handler: Any) -> Iterator[None]:
    """While entered, SIGTERM has this handler, whatever earlier tests' libraries installed."""
    old = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, old)


def test_sigterm_is_told_before_the_process_ends(clusters, monkeypatch) -> None:
    class Ended(BaseException):
        """In place of the end of the process."""

    def end(number: int) -> None:
        raise Ended

    raise_signal = signal.raise_signal
    notes = Notes(at=3, act=lambda: raise_signal(signal.SIGTERM))
    monkeypatch.setattr(signal, "raise_signal", end)
    with sigterm_handled_by(signal.SIG_DFL), pytest.raises(Ended):
        VAE.fit(*clusters, run=Run(device="cpu", callbacks=(notes,)))
    first = notes.of("end")[0]
    assert (first.state, first.reason, first.n_epochs) == ("interrupted", "SIGTERM", 1)


@pytest.mark.parametrize("algorithm", [VAE, replace(VAE, richer=True)])
def test_sigterm_that_the_caller_handles_by_an_exception_is_an_interruption(
    clusters, algorithm
) -> None:
    def leave(*_: object) -> None:
        raise SystemExit("asked to leave")

    notes = Notes(at=3, act=lambda: signal.raise_signal(signal.SIGTERM))
    with sigterm_handled_by(leave), pytest.raises(SystemExit):
        algorithm.fit(*clusters, run=Run(device="cpu", callbacks=(notes,)))
    (end,) = notes.of("end")
    assert (end.state, end.reason) == ("interrupted", "asked to leave")


def test_without_callbacks_no_report_is_made(clusters, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a report was made for nobody")

    monkeypatch.setattr(state, "StepReport", refuse)
    VAE.fit(*clusters, run=Run(device="cpu"))
    with pytest.raises(AssertionError, match="for nobody"):
        VAE.fit(*clusters, run=Run(device="cpu", callbacks=(Callback(),)))


def test_what_is_no_callback_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"callbacks\[0\] is .*Callback was expected"):
        Run(callbacks=(print,))  # pyright: ignore[reportArgumentType]
