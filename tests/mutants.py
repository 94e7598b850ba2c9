"""Do the tests notice a fault? One place of the code is changed at a time, and its tests are run.

    python -m tests.mutants jobs --sample 20 --seed 0

A change is one of: a comparison moved by its limit or reversed; `+` and `-`, `*` and `/`, `and`
and `or` exchanged; `not` removed; a number raised by one; `True` and `False` exchanged; a statement
left out. It is made in a copy of the package in a temporary folder. Each change is printed with
whether a test noticed it; one whose tests take ten times as long as without it counts as noticed.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "nearfar"

PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "vae/terms": ("vae/terms", ("tests/vae", "tests/paper")),
    "metrics": ("metrics", ("tests/metrics", "tests/contracts/test_metrics.py")),
    "evaluation": ("evaluation", ("tests/evaluation",)),
    "models": ("models", ("tests/models", "tests/golden")),
    "micro_batcher": ("web/micro_batcher.py", ("tests/web/test_micro_batcher.py",)),
    "store/sinks": ("store/sinks", ("tests/store",)),
    "jobs": ("jobs", ("tests/jobs",)),
}
"""Place: the code below the package, and the tests that are expected to notice its faults."""

COMPARED: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,),
}  # fmt: skip
EXCHANGED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
BLOCKS = ("body", "orelse", "finalbody")


@dataclass(frozen=True)
class Change:
    """One change: `apply` returns the file's new source.

    Args:
        file: relative to the package.
        node: which node of `ast.walk` of the file's tree.
        what: the kind of change and which of its variants.
        line: in the file.
    """

    file: str
    node: int
    what: tuple[str, int]
    line: int

    def apply(self) -> str:
        """The source of the file with this change, as `ast.unparse` writes it."""
        tree = ast.parse((PACKAGE / self.file).read_text())
        node = list(ast.walk(tree))[self.node]
        kind, n = self.what
        if kind == "compare":
            assert isinstance(node, ast.Compare)
            node.ops[0] = COMPARED[type(node.ops[0])][n]()
        elif kind == "operator":
            assert isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign))
            node.op = EXCHANGED[type(node.op)]()  # pyright: ignore[reportAttributeAccessIssue]
        elif kind == "not":
            assert isinstance(node, ast.UnaryOp)
            node.op, node.operand = ast.Not(), ast.UnaryOp(ast.Not(), node.operand)
        elif kind == "constant":
            assert isinstance(node, ast.Constant)
            node.value = not node.value if isinstance(node.value, bool) else node.value + 1  # pyright: ignore[reportOperatorIssue]
        else:
            block = getattr(node, kind)
            block[n] = ast.copy_location(ast.Pass(), block[n])
        return ast.unparse(ast.fix_missing_locations(tree))

    def text(self) -> str:
        """The line that is changed, before and after, for people."""
        before = ast.unparse(ast.parse((PACKAGE / self.file).read_text())).splitlines()
        after = self.apply().splitlines()
        at = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
        new = after[at].strip() if at < len(after) else ""
        return f"{self.file}:{self.line}  {before[at].strip()}  ->  {new}"


def changes(file: Path) -> Iterator[Change]:
    """All changes of a file, in the order of `ast.walk`."""
    name = file.relative_to(PACKAGE).as_posix()
    tree = ast.parse(file.read_text())
    typed = {
        id(part)
        for node in ast.walk(tree)
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if hint is not None
        for part in ast.walk(hint)
    }
    for i, node in enumerate(ast.walk(tree)):
        if id(node) in typed:
            continue
        for what in _kinds(node):
            yield Change(name, i, what, getattr(node, "lineno", 1))


def _kinds(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from (("compare", n) for n in range(len(COMPARED[type(node.ops[0])])))
    elif isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in EXCHANGED:
        yield "operator", 0
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not", 0
    elif isinstance(node, ast.Constant) and isinstance(node.value, (bool, int, float)):
        yield "constant", 0
    if not isinstance(node, (ast.Module, ast.ClassDef)):
        for block in BLOCKS:
            for n, statement in enumerate(_statements(node, block)):
                if isinstance(
                    statement, (ast.Expr, ast.Assign, ast.AugAssign, ast.Return)
                ) and not (
                    isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
                ):
                    yield block, n


def _statements(node: ast.AST, block: str) -> list[ast.stmt]:
    found = getattr(node, block, None)
    return found if isinstance(found, list) else []


def run_tests(tests: tuple[str, ...], source: Path, limit: float | None) -> tuple[bool, float]:
    """Whether the tests pass with the package in `source` within `limit` seconds, and how long."""
    environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
    ]
    started = time.monotonic()
    try:
        ended = subprocess.run(
            [*command, *tests], cwd=ROOT, env=environment, timeout=limit, capture_output=True
        )
    except subprocess.TimeoutExpired:
        return False, time.monotonic() - started
    return ended.returncode == 0, time.monotonic() - started


def say(text: str) -> None:
    """Write a line at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    """Draw changes of one place, run its tests on each, print what survived."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("place", choices=sorted(PLACES))
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    below, tests = PLACES[arguments.place]
    files = [PACKAGE / below] if below.endswith(".py") else sorted((PACKAGE / below).rglob("*.py"))
    found = [change for file in files for change in changes(file)]
    drawn = random.Random(arguments.seed).sample(found, min(arguments.sample, len(found)))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder)
        shutil.copytree(PACKAGE, source / "nearfar", ignore=shutil.ignore_patterns("__pycache__"))
        passed, seconds = run_tests(tests, source, None)
        if not passed:
            sys.exit(f"the tests {' '.join(tests)} fail without a change")
        say(f"{len(found)} changes; {len(drawn)} drawn; tests take {seconds:.0f} s")
        survived = 0
        for number, change in enumerate(drawn, 1):
            target = source / "nearfar" / change.file
            kept = target.read_text()
            target.write_text(change.apply())
            passed, took = run_tests(tests, source, 10 * seconds + 60)
            target.write_text(kept)
            survived += passed
            word = "SURVIVED" if passed else "noticed"
            say(f"{number}/{len(drawn)} {word} in {took:.0f} s: {change.text()}")
    say(f"{len(drawn) - survived} of {len(drawn)} noticed")


if __name__ == "__main__":
    main()
