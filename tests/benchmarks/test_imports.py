"""What the benchmarks import from the package exists, although no test runs most of them."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.py"))


def imported_names(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nearfar"):
            yield from ((str(node.module), alias.name) for alias in node.names)


def test_there_are_benchmarks() -> None:
    assert {"train.py", "experiments/sets.py"} <= set(FILES)


@pytest.mark.parametrize("file", FILES)
def test_imported_names_exist(file: str) -> None:
    for module, name in imported_names(FOLDER / file):
        owner = importlib.import_module(module)
        if not hasattr(owner, name):
            importlib.import_module(f"{module}.{name}")
