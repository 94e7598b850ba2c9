"""Options that commands share: expanded from dataclasses, and each of them does something."""

from __future__ import annotations

import ast
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

import nearfar.cli
from nearfar.cli.main import run
from nearfar.cli.options import with_options

MODULES = sorted(Path(nearfar.cli.__file__).parent.glob("*.py"))


@dataclass(frozen=True)
class Size:
    width: Annotated[int, typer.Option("--width", help="Metres.")] = 2
    height: Annotated[int, typer.Option("--height", help="Metres.")] = 3


def area(name: str, size: Size = Size(), *, times: int = 1) -> None:
    typer.echo(f"{name}: {size.width * size.height * times}")


def test_a_dataclass_becomes_its_fields_options() -> None:
    app = typer.Typer()
    app.command()(with_options()(area))
    found = CliRunner().invoke(app, ["door", "--width", "5", "--times", "2"])
    assert (found.exit_code, found.stdout) == (0, "door: 30\n")


def test_an_option_left_out_is_refused_and_keeps_its_default() -> None:
    command = with_options(without=("width",))(area)
    assert list(inspect.signature(command).parameters) == ["name", "height", "times"]
    app = typer.Typer()
    app.command()(command)
    assert CliRunner().invoke(app, ["door", "--height", "7"]).stdout == "door: 14\n"
    assert CliRunner().invoke(app, ["door", "--width", "7"]).exit_code == 2


def unused(text: str) -> list[str]:
    """The parameters of commands that their bodies never read."""
    found = []
    for function in ast.parse(text).body:
        if not isinstance(function, ast.FunctionDef) or not function.decorator_list:
            continue
        read = {n.id for part in function.body for n in ast.walk(part) if isinstance(n, ast.Name)}
        arguments = [*function.args.args, *function.args.kwonlyargs]
        found += [f"{function.name}: {a.arg}" for a in arguments if a.arg not in read]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_option_of_a_command_is_used(path: Path) -> None:
    allowed = {"_root: version"}  # its callback prints and ends
    assert set(unused(path.read_text(encoding="utf-8"))) <= allowed


def test_an_unused_option_is_found() -> None:
    assert unused("@with_options()\ndef draw(out, seed, *, output):\n    output.result(out)") == [
        "draw: seed"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "fetch", "--seed", "1"],
        ["data", "inspect", "log.csv", "--device", "cpu"],
        ["recommend", "bundle", "--seed", "1"],
        ["abtest", "plan", "--device", "cpu"],
    ],
    ids=" ".join,
)
def test_options_without_effect_are_refused(arguments: list[str], capsys) -> None:
    assert run(arguments) == 2
    assert "No such option" in capsys.readouterr().err
