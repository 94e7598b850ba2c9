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
