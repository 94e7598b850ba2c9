"""What the README shows is run, as it stands but for the length of trainings and searches."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.core.errors import FetchError
from nearfar.data.fetch import fetch
from tests.jobs.test_docs import BRIEF

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str, heading: str) -> list[str]:
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def movielens() -> Path:
    try:
        return fetch("ml-100k")
    except FetchError as error:
        pytest.skip(f"MovieLens-100K cannot be fetched here: {error}")


@pytest.mark.slow
def test_the_python_lines_run(movielens: Path, tmp_path: Path) -> None:
    (code,) = blocks("python", "In Python")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (shown,) = blocks("text", "In Python")
    words = ("NDCG@100", "140 users", "rank", "title", "score")
    assert all(word in done.stdout for word in words)
    assert all(word in shown for word in words)
    assert (tmp_path / "my-bundle" / "manifest.json").exists()


SHORTER = {
    "epochs=30": "epochs=2 --set n_latent=20 --set decoder_hidden=[100]",
    "--trials 8": "--trials 2",
}
"""A smaller network too: `diagnose` and `report` minimise over its latents."""


@pytest.mark.slow
def test_the_commands_run(movielens: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    (commands,) = blocks("sh", "On the command line")
    monkeypatch.chdir(tmp_path)
    for shown, shorter in SHORTER.items():
        assert shown in commands
        commands = commands.replace(shown, shorter)
    lines = commands.strip().splitlines()
    assert len(lines) >= 9
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "nearfar"
        assert run(arguments) == 0, (line, capsys.readouterr().err)
    assert (tmp_path / "recommended.jsonl").exists()


@pytest.mark.slow
def test_a_day_of_the_pipeline(tmp_path: Path, monkeypatch, capsys) -> None:
    (commands,) = blocks("sh", "Every day")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nearfar.jobs.first_settings.REST", BRIEF)
    for line in commands.strip().splitlines():
        _, *arguments = shlex.split(line)
        assert run(arguments) == 0, (line, capsys.readouterr().err)
    assert list((tmp_path / "shop" / "recommendations").glob("date=*"))


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for target in re.findall(r"\bmake ([a-z0-9-]+)", README):
        if target not in ("it",):
            assert target in targets, target


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_public_names_shown_exist() -> None:
    import nearfar

    for name in set(re.findall(r"\bnf\.(\w+)", README)):
        assert name in dir(nearfar), name


def test_algorithms_are_counted_right() -> None:
    from nearfar.algorithms.algorithm import PACKAGE, Algorithm
    from nearfar.core import discovery

    words = dict(enumerate(("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen",
                            "sixteen", "seventeen", "eighteen"), 10))  # fmt: skip
    names = set(discovery.discover(PACKAGE, Algorithm))
    section = README.split("## Algorithms\n", 1)[1].split("\n## ", 1)[0].split("Parts combine")[0]
    assert set(re.findall(r"`(\w+)`", section)) == names
    assert (
        f"against {words[len(names - {'multvae', 'recvae', 'hvamp', 'blend'})]} baselines" in README
    )
    for page in ("index", "algorithms"):
        text = (ROOT / "docs" / "reference" / f"{page}.md").read_text()
        assert f"{words[len(names)]} algorithms" in text.lower()


def test_all_parts_are_named() -> None:
    from nearfar.core import discovery
    from nearfar.vae.corruption.corruption import Corruption
    from nearfar.vae.encoders.encoder import Encoder
    from nearfar.vae.priors.prior import Prior

    named = set(re.findall(r"`(\w+)`", README.split("Parts combine", 1)[1].split("\n\n", 1)[0]))
    for base in (Encoder, Prior, Corruption):
        assert set(discovery.discover(base.__module__.rpartition(".")[0], base)) <= named


def test_there_is_one_way_to_install() -> None:
    """From a clone: no registry has the package."""
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        if page.parent.name != "decisions":
            said = re.sub(r"^nearfar: .*$", "", page.read_text(), flags=re.MULTILINE)
            for command in re.findall(r"pip install [^\n`]+", said):
                assert re.match(r"pip install '\.\[[a-z,]+\]'", command), (page, command)
