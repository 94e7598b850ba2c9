"""The commands of docs/serving.md, as they stand there."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.folder import save_split
from tests.bundle.cases import ABOUT, make_model
from tests.conftest import interactions
from tests.web.cases import Program, film_bundle

TEXT = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
COMMANDS = [
    command
    for block in re.findall(r"```bash\n(curl.*?)```", TEXT, re.DOTALL)
    for command in block.replace("\\\n", " ").strip().splitlines()
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("curl") is None, reason="the commands are curl's"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("web")
    films = film_bundle()
    dense = np.random.default_rng(0).random((60, 12)) < np.repeat([0.15, 0.5, 0.9], 20)[:, None]
    dense[:, 0] = True

    def users(rows: np.ndarray) -> Interactions:
        made = interactions(rows)
        return Interactions(made.x, made.user_ids, films.items)

    held_out = FoldIn(
        users(dense[40:] * (np.arange(12) % 2)), users(dense[40:] * (np.arange(12) % 2 == 0))
    )
    save_split(Split(users(dense[:40]), held_out, held_out, {}), folder / "split")
    save_bundle(films, folder / "pia")
    save_bundle(Bundle(make_model("item_item"), films.items, ABOUT), folder / "multvae")
    arguments = (
        "--bundle",
        folder / "pia",
        "--bundle",
        folder / "multvae",
        "--data",
        folder / "split",
    )
    with Program(*map(str, arguments)) as program:
        yield program


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 14


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_is_answered(program: Program, command: str) -> None:
    here = command.replace("localhost:8000", f"127.0.0.1:{program.port}").replace(
        "curl -s", "curl -s --fail-with-body"
    )
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if "/metrics" not in command:
        json.loads(done.stdout)


def test_what_the_page_says_of_fields_errors_and_options_is_so(program: Program) -> None:

    told = program.get("/openapi.json").json()
    schemas = told["components"]["schemas"]
    table = TEXT.partition("| field |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == [
        "items", "titles", "k", "exclude_seen", "exclude", "allow", "deny", "diversity", "explain",
        "model", "user",
    ]  # fmt: skip
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == set(
        schemas["RecommendRequest"]["properties"]
    )
    for name in schemas["ModelInfo"]["properties"]:
        assert f"`{name}`" in TEXT
    statuses = {s for p in told["paths"].values() for o in p.values() for s in o["responses"]}
    assert statuses - {"200"} <= set(re.findall(r"^\| (\d{3}) \|", TEXT, re.MULTILINE))
