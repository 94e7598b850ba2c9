"""Commands are imported when they are needed, and the list of them tells the truth."""

import subprocess
import sys

import pytest

from nearfar.cli.commands import COMMANDS
from nearfar.cli.main import run


def test_help_lists_all_commands_without_importing_torch() -> None:
    code = (
        "import sys; from nearfar.cli.main import run; code = run(['--help']); "
        "assert code == 0; assert 'torch' not in sys.modules; assert 'polars' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for name, command in COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert command.summary in " ".join(done.stdout.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_calls_itself_so(name: str, capsys) -> None:
    assert run([name, "--help"]) == 0
    told = capsys.readouterr().out
    assert f"Usage: nearfar {name} " in told


def test_a_command_that_is_not_there(capsys) -> None:
    assert run(["recomend"]) == 2
    assert "recomend" in capsys.readouterr().err
