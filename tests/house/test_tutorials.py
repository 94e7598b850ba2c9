"""The tutorials and guides for Python are run, as they stand there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.jobs.registry import Registry
from tests.house.notebooks import TUTORIALS
from tests.jobs.test_docs import BRIEF
from tests.web.cases import Program

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"```(python|sh|bash|toml)\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.slow


def blocks(page: str) -> list[tuple[str, str]]:
    return FENCE.findall((DOCS / page).read_text(encoding="utf-8"))


def in_python(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=folder, capture_output=True, text=True,
        check=False, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_shell(
    block: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> str:
    for line in block.strip().splitlines():
        if line.startswith("export "):
            monkeypatch.setenv(*line.removeprefix("export ").split("="))
            continue
        program, *arguments = shlex.split(line)
        assert program == "nearfar"
        assert run(arguments) == 0, (line, capsys.readouterr().err)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", TUTORIALS)
def test_notebooks_run_what_the_tests_of_their_pages_run(name: str) -> None:
    content = json.loads((DOCS / "tutorials" / f"{name}.ipynb").read_text(encoding="utf-8"))
    sources = ["".join(c["source"]) for c in content["cells"] if c["cell_type"] == "code"]
    run_by_tests = [block.strip() for _, block in blocks(f"tutorials/{name}.md")]
    for source in sources:
        plain = re.sub(r"^(!|%env |%%writefile .*\n)", "", source, flags=re.MULTILINE)
        assert any(plain == re.sub("^export ", "", b, flags=re.MULTILINE) for b in run_by_tests)
    assert len(sources) >= 3


def test_your_own_csv(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shown, asked = "", []
    for language, block in blocks("tutorials/shop.md"):
        if language == "python":
            in_python(block, tmp_path)
        elif language == "toml":
            # The rest of the template stays as it was; a shorter training will do here.
            (tmp_path / "pipeline.toml").write_text(f"{block}epochs = 5\n")
        elif language == "bash":
            asked.append(block.replace("\\\n", " ").strip())
        elif "nearfar serve" not in block:
            shown += in_shell(block, capsys, monkeypatch)
    for line in ("user: customer_id  item: sku  timestamp: ordered_at", "2,000", "is current"):
        assert line in shown
    assert len(asked) == 4
    if shutil.which("curl") is None:
        pytest.skip("the requests are curl's")
    arguments = (
        "--registry",
        str(tmp_path / "registry"),
        "--store",
        str(tmp_path / "recommendations"),
    )
    monkeypatch.chdir(DOCS.parent)
    with Program(*arguments) as program:
        answers = []
        for command in asked:
            here = command.replace("localhost:8000", f"127.0.0.1:{program.port}")
            done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
            answers.append(json.loads(done.stdout))
    known, session, nothing, alike = answers
    assert [a["source"] for a in (known, session, nothing)] == ["stored", "history", "popular"]
    assert all(len(a["recommendations"]) == 3 for a in (known, session, nothing))
    assert session["recommendations"][0]["title"]
    assert session["recommendations"][0]["because"]
    assert len(alike["similar"]) == 3


def test_your_own_parts(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    page = blocks("tutorials/own-parts.md")
    (tmp_path / "mine.py").write_text(page[0][1])
    (tmp_path / "baskets.jsonl").write_text('{"user": 3, "items": ["a", "b"]}\n' * 9)
    shown = "".join(in_shell(b, capsys, monkeypatch) for language, b in page if language == "sh")
    for word in ("FirstHit@1", "narrow", "baskets as JSON lines"):
        assert word in shown
    monkeypatch.delenv("NEARFAR_TRUST")
    printed = in_python(next(b for language, b in page[1:] if language == "python"), tmp_path)
    assert "CoOccur(power=0.3)" in printed
    assert "likelihood=Poisson" in printed
    assert "Bundle of multvae" in printed
    assert "MultVAE(epochs=3, prior=Laplace)" in printed
    sys.modules.pop("mine", None)


def test_choosing_a_model(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ""
    for language, block in blocks("tutorials/choose.md"):
        if language == "python":
            exec(block, {})
            shown += capsys.readouterr().out
        else:
            shown += in_shell(block, capsys, monkeypatch)
    for word in ("popularity", "tuned-edlae", "p Holm", "spread over seeds: 0.", "Gini", "11-20"):
        assert word in shown


def test_weekly_production(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nearfar.jobs.first_settings.REST", BRIEF)
    settings = tmp_path / "pipeline.toml"
    shown = []
    for language, block in blocks("tutorials/weekly.md"):
        if language == "toml":
            before = settings.read_text()
            assert before.count("[algorithm]                          #") == 1
            head, _, tail = before.partition("[algorithm]")
            settings.write_text(head + block + tail[tail.index("[train]") :])
            refused = ["pipeline", "train", "--as-of", "2026-04-12"]
            assert run(refused) == 4
            assert "refused" in capsys.readouterr().out
        else:
            shown.append(in_shell(block, capsys, monkeypatch))
    assert "already" in shown[1]
    versions = Registry(tmp_path / "registry").versions()
    assert [version.passed for version in versions] == [True, True, False]
    last = json.loads(shown[-1].splitlines()[-1])
    assert last["current"] == versions[0].name
    assert last["last"]["score"]["outcome"] == "done"


def test_why_vaes_collaborate(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    shown = ""
    for language, block in blocks("tutorials/collaborate.md"):
        if language == "python":
            exec(block, {})
            shown += capsys.readouterr().out
        else:
            shown += in_shell(block, capsys, monkeypatch)
    assert "(60, 200)" in shown
    found = json.loads((tmp_path / "theory.json").read_text())
    assert json.dumps(found).count("mask_drift")


def test_the_guide_to_python(tmp_path: Path) -> None:
    code = "\n".join(block for language, block in blocks("guide/python.md") if language == "python")
    printed = in_python(code, tmp_path)
    assert "alignment=PIA" in printed
    assert (tmp_path / "training.png").exists()
    assert (tmp_path / "items.parquet").exists()
