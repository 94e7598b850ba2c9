"""The house rules that a machine can hold."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "src" / "nearfar").rglob("*.py"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_modules_stay_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 310


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_every_public_name_is_documented(path: Path) -> None:
    tree = ast.parse(path.read_text())
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
            continue
        if any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list):
            continue  # what it is called for is told once, by the function itself
        if not ast.get_docstring(node):
            missing.append(node.name)
    assert not missing


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_is_pickled_or_evaluated(path: Path) -> None:
    text = path.read_text()
    for forbidden in (r"\bimport pickle\b", r"\btorch\.load\(", r"\beval\(", r"\bexec\(",
                      r"allow_pickle=True", r"shell=True"):  # fmt: skip
        found = re.search(r"(?<!\.)" + forbidden, text)
        assert not found, found


def test_public_names_can_be_imported() -> None:
    import nearfar

    for public in nearfar.__all__:
        assert getattr(nearfar, public) is not None
    with pytest.raises(AttributeError):
        _ = nearfar.no_such_name


def test_no_public_name_is_that_of_a_room() -> None:
    """A submodule becomes an attribute of its package when imported, and would hide the name."""
    import nearfar

    rooms = {p.name for p in (ROOT / "src" / "nearfar").iterdir()}
    assert not rooms & set(nearfar.__all__)


def test_importing_nearfar_is_cheap() -> None:
    import subprocess
    import sys

    code = (
        "import sys, nearfar; print([m for m in ('torch', 'polars', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lazy_names_are_the_typed_names() -> None:
    import nearfar

    tree = ast.parse(Path(nearfar.__file__).read_text())
    typed = {
        (alias.name, node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nearfar.")
        for alias in node.names
        if alias.name != "__version__"
    }
    lazy = {(n, home) for home, names in nearfar._HOMES.items() for n in names}
    assert typed == lazy


def test_the_namespaces_hold_every_part() -> None:
    """A part that is added as a file is added to its namespace too."""
    import inspect

    import nearfar as nf
    from nearfar.core import discovery

    for space, package, base in (
        (nf.priors, "nearfar.vae.priors", nf.Prior),
        (nf.encoders, "nearfar.vae.encoders", nf.Encoder),
        (nf.corruptions, "nearfar.vae.corruption", nf.Corruption),
        (nf.likelihoods, "nearfar.vae.likelihoods", nf.Likelihood),
        (nf.initialisers, "nearfar.vae.initialisers", nf.initialisers.Initialiser),
        (nf.schedules, "nearfar.vae.weights", nf.Weight),
        (nf.metrics, "nearfar.metrics", nf.Metric),
        (nf.reranking, "nearfar.reranking", nf.reranking.Reranker),
    ):
        every = set(discovery.discover(package, base).values())
        missing = every - {v for v in vars(space).values() if inspect.isclass(v)}
        assert not missing, f"import {missing} in {space.__file__}"
    top = {getattr(nf, name) for name in nf.__all__}
    for package, base in (("nearfar.algorithms", nf.Algorithm), ("nearfar.metrics", nf.Metric)):
        missing = set(discovery.discover(package, base).values()) - top
        assert not missing, f"add {missing} to both lists in src/nearfar/__init__.py"


def test_the_guides_list_every_metric_and_every_source() -> None:
    from nearfar.core import discovery
    from nearfar.metrics.metric import PACKAGE as METRICS
    from nearfar.metrics.metric import Metric
    from nearfar.store.sources.source import PACKAGE as SOURCES
    from nearfar.store.sources.source import EventSource

    metrics = [cls.__name__ for cls in discovery.discover(METRICS, Metric).values()]
    sources = [f"`{name}`" for name in discovery.discover(SOURCES, EventSource)]
    for guide, names in (("metrics", metrics), ("store", sources)):
        page = ROOT / "docs" / "guide" / f"{guide}.md"
        first = "\n".join(re.findall(r"^\| ([^|]*) \|", page.read_text(), re.MULTILINE))
        missing = [name for name in names if not re.search(rf"(?<!\w){name}(?!\w)", first)]
        assert not missing, f"add a row for {missing} to the table of {page}"


def test_generated_pages_are_those_of_this_code() -> None:
    """Made anew by `python -m tests.house.pages`."""
    from tests.house.pages import pages

    for path, text in pages().items():
        assert path.read_text() == text, f"{path}: run python -m tests.house.pages"


def test_phrases_that_the_project_does_not_use_are_found() -> None:
    from tests.house.phrases import findings

    text = """The events a
    # user ("writes appear "
    f"whole or not at all") and the value a user has; x is None."""
    assert [(line, phrase) for line, phrase, _ in findings(text)] == [
        (1, "events a # user"),
        (2, 'appear " f"whole'),
    ]


def test_the_architecture_page_is_of_this_code() -> None:
    """Its rooms stand in the order of the import contracts, and its files exist."""
    import tomllib

    page = (ROOT / "docs" / "architecture.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    picture = page.split("```text\n", 1)[1].split("```", 1)[0]
    rooms = re.findall(r"^  ([a-z]+)  ", picture, re.MULTILINE)
    assert rooms == [layer for layer in layers if "|" not in layer]
    for file in re.findall(r"`((?:tests/)?[a-z0-9_/]+\.py)`", page):
        assert (ROOT / file).exists() or (ROOT / "src" / "nearfar" / file).exists(), file


def test_the_changelog_has_an_entry_for_this_version() -> None:
    """Keep a Changelog 1.1: Unreleased first, versions and dates descending, known headings."""
    from datetime import date

    from nearfar import __version__

    text = (ROOT / "CHANGELOG.md").read_text()
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert heads[0] == "[Unreleased]"
    released = [
        re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]
    ]
    assert all(released), heads
    versions = [tuple(map(int, found[1].split("."))) for found in released if found]
    days = [date.fromisoformat(found[2]) for found in released if found]
    assert versions == sorted(set(versions), reverse=True)
    assert days == sorted(days, reverse=True)
    assert heads[1].startswith(f"[{__version__}] - "), "CHANGELOG.md lacks this version"
    kinds = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for section in re.split(r"^## .*$", text, flags=re.MULTILINE)[2:]:
        assert re.search(r"^- ", section, re.MULTILINE), section
    for link in re.findall(r"\]\((docs/[^)#]+)", text):
        assert (ROOT / link).exists(), link
