"""The progress of a fit: when it is shown by itself, and what it prints."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr
from types import SimpleNamespace

import pytest

import nearfar as nf
from nearfar.cli.main import run as command
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.interactive import is_interactive, progress_shown_otherwise

VAE = nf.MultVAE(
    n_latent=4, encoder=nf.encoders.Base((6,)), decoder_hidden=(6,), epochs=2, batch_size=60
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def data() -> nf.Split:
    return nf.split_strong(nf.read_log("synthetic:300x40x3000"), 50)


def test_a_terminal_sees_one_line_that_is_redrawn_and_stays(data) -> None:
    run, terminal = nf.Run(seed=1), Terminal()
    with redirect_stderr(terminal):
        VAE.fit(data.train, data.validation, run=run)
    text = terminal.getvalue()
    assert text.startswith("\rMultVAE: epoch ")
    last = text.split("\r")[-1]
    assert last.startswith("MultVAE: epoch 2 of 2  best NDCG@100 ")
    assert last.endswith(" s\n")
    assert text.count("\n") == 1
    assert len(run.history.records) == 2
    with redirect_stderr(terminal):
        VAE.fit(data.train, data.validation)
    assert terminal.getvalue().count("\n") == 2, "a fit without a run shows it too"


def test_a_closed_form_prints_nothing(data) -> None:
    with redirect_stderr(Terminal()) as terminal:
        nf.EASE(l2=50).fit(data.train)
    assert terminal.getvalue() == ""


def test_a_blend_shows_its_parts_once(data) -> None:
    with redirect_stderr(Terminal()) as terminal:
        nf.Blend(parts=(VAE, nf.EASE(l2=50))).fit(data.train, data.validation)
    assert [line.split("\r")[-1][:16] for line in terminal.getvalue().split("\n")] == [
        "MultVAE: epoch 2", ""
    ]  # fmt: skip


def test_elsewhere_it_is_silent_unless_it_is_asked_for(data, capsys, monkeypatch) -> None:
    VAE.fit(data.train, data.validation)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("nearfar.train.progress.LINE_SECONDS", 0.0)
    VAE.fit(data.train, data.validation, run=nf.Run(progress=True))
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("  ")[0] for line in lines] == [
        "MultVAE: epoch 1 of 2",
        "MultVAE: epoch 2 of 2",
    ]


def test_it_can_be_turned_off(data) -> None:
    with redirect_stderr(Terminal()) as terminal:
        VAE.fit(data.train, data.validation, run=nf.Run(progress=False))
        with progress_shown_otherwise():
            VAE.fit(data.train, data.validation)
    assert terminal.getvalue() == ""


def test_a_command_shows_its_own_only(tmp_path) -> None:
    options = ["--set", "epochs=2", "--set", "encoder=base", "--out", str(tmp_path / "b"), "-q"]
    with redirect_stderr(Terminal()) as terminal:
        assert command(["train", "multvae", "--data", "synthetic:300x40x3000", *options]) == 0
    assert "MultVAE: epoch" not in terminal.getvalue()


def test_a_notebook_is_interactive(monkeypatch) -> None:
    file = io.StringIO()
    assert not is_interactive(file)
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert is_interactive(file)


def test_options_of_the_run_are_told_where_they_go(data) -> None:
    with pytest.raises(SettingsError, match=r"seed is an option of the run: fit.*nf.Run\(seed=3\)"):
        VAE.fit(data.train, data.validation, seed=3)  # pyright: ignore[reportCallIssue]
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        VAE.fit(data.train, valdation=data.validation)  # pyright: ignore[reportCallIssue]
