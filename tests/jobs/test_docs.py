"""The commands of docs/production.md are run, as they stand."""

from __future__ import annotations

import inspect
import os
import re
import shlex
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.jobs.status import HELP
from nearfar.jobs.template import REST
from nearfar.web import metrics

TEXT = (Path(__file__).parents[2] / "docs" / "production.md").read_text()

BRIEF = REST.replace('kind = "multvae"\n', 'kind = "multvae"\nepochs = 3\n')
"""The end of the template with a short training: the commands are tried here and not the model."""


@pytest.mark.slow
def test_from_an_empty_folder_to_a_daily_job(tmp_path: Path, monkeypatch, capsys) -> None:
    section = TEXT.split("## From an empty folder", 1)[1].split("\n## ", 1)[0]
    (block,) = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    lines = block.strip().splitlines()
    assert len(lines) == 10
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nearfar.jobs.first_settings.REST", BRIEF)
    for line in lines:
        program, *arguments = shlex.split(line)
        if program == "cd":
            os.chdir(arguments[0])
            continue
        assert program == "nearfar"
        assert run(arguments) == 0, (line, capsys.readouterr().err)
    assert sorted(p.name for p in Path("recommendations").glob("date=*")) == [
        "date=2026-04-05", "date=2026-04-12"
    ]  # fmt: skip


def test_alerts_name_metrics_that_there_are() -> None:
    named = set(
        re.findall(r"nearfar_(\w+)", TEXT.split("## What to alert on")[1].split("\n## ")[0])
    )
    assert len(named) > 4
    assert named - set(HELP) == {"model_stale"}, "which is of the service"
    assert '"nearfar_model_stale"' in inspect.getsource(metrics)
