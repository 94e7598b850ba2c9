"""What is built works where it is installed, with what its metadata ask for and nothing else."""

from __future__ import annotations

import re
import subprocess
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest

from nearfar._version import __version__
from tests.packaging.installed import ROOT, Environment, ask, listening

pytestmark = pytest.mark.slow


def test_the_archives_hold_the_package_and_no_more(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    assert sdist.name == f"nearfar-{__version__}.tar.gz"
    files = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src" / "nearfar").rglob("*.*")}
    files = {file for file in files if "__pycache__" not in file}
    in_wheel = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert in_wheel == files
    assert "nearfar/py.typed" in in_wheel
    with tarfile.open(sdist) as archive:
        top = {Path(name).parts[1] for name in archive.getnames()}
    assert top == {
        "src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "constraints.txt",
        "PKG-INFO", ".gitignore",
    }  # fmt: skip


def test_every_extra_is_one_of_installed_packages(installed: Environment) -> None:
    """Each name and version range can be met; `serve` stays free of PyTorch."""
    extras = installed.wheel.metadata.get_all("Provides-Extra") or []
    assert {"torch", "serve", "plots", "sql", "onnx", "dev"} <= set(extras)
    closures: dict[str, set[str]] = {}
    for extra in extras:
        closures[extra] = set(installed.required(extra))
    assert {"numpy", "polars", "typer"} <= closures["plots"]
    assert "torch" in closures["maps"]
    assert "torch" not in closures["serve"]
    assert not {"torch", "starlette", "sqlalchemy"} & set(installed.required())
    assert installed.wheel.metadata.get_all("Project-URL")


def test_the_base_package_reads_logs_and_names_what_it_lacks(
    installed: Environment, tmp_path: Path
) -> None:
    (tmp_path / "log.csv").write_text(
        "user,item,timestamp\n" + "".join(f"{n % 9},{n % 7},{n}\n" for n in range(60))
    )
    assert installed.run("--version", folder=tmp_path) == f"nearfar {__version__}\n"
    home = subprocess.run(
        [installed.folder / "bin" / "python", "-c", "import nearfar; print(nearfar.__file__)"],
        env=installed.variables(), cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert Path(home.stdout.strip()).is_relative_to(installed.folder)
    shown = installed.run("data", "inspect", "log.csv", folder=tmp_path)
    assert re.search(r"rows read +60", shown)
    asked = ("train", "ease", "--data", "log.csv", "--out", "ease")
    told = installed.run(*asked, folder=tmp_path, code=1)
    assert "PyTorch" in told
    assert "[torch]" in told


def test_an_ab_test_is_made_up_and_analysed(installed: Environment, tmp_path: Path) -> None:
    def abtest(command: str, *more: str) -> str:
        return installed.run("abtest", command, *more, folder=tmp_path, extras=("abtest",))

    abtest("simulate", "--out", "logs", "--users", "400", "--uplift", "0.6", "--seed", "3")
    logs = ("--exposures", "logs/exposures.parquet", "--clicks", "logs/clicks.parquet")
    quick = ("--resamples", "0", "--no-by-card")
    shown = abtest("analyse", "--experiment", "logs/experiment.toml", *logs, *quick)
    assert "clicks_per_view" in shown


def test_the_demo_runs_and_its_models_are_served(installed: Environment, tmp_path: Path) -> None:
    films = write_films(tmp_path / "ml-100k")
    extras = ("torch", "plots")
    shown = installed.run(
        "demo", "--data", "ml-100k", "--like", films[0], folder=tmp_path, extras=extras
    )
    assert f"Who likes {films[0]}" in shown
    command = [str(installed.program), "serve", "--port", "0", "--bundle", "demo/bundle-pia"]
    with listening(command, installed.variables("torch", "serve"), tmp_path) as url:
        (model,) = ask(f"{url}/v1/model")["models"]
        with urllib.request.urlopen(f"{url}/") as page:
            assert b"<html" in page.read()
    assert model["name"] == "bundle-pia"


def write_films(folder: Path) -> list[str]:
    """Write a log of two tastes in the layout of MovieLens-100K; returns the titles."""
    rng = np.random.default_rng(1)
    folder.mkdir()
    titles = [f"Film {chr(65 + i)} (19{60 + i})" for i in range(24)]
    flags = "|".join("1" if n == 5 else "0" for n in range(19))
    (folder / "u.item").write_text(
        "".join(f"{i + 1}|{title}|01-Jan-1995||url|{flags}\n" for i, title in enumerate(titles))
    )
    rows = [
        f"{user + 1}\t{item + 1}\t{rng.integers(4, 6)}\t{978300760 + item}\n"
        for user in range(80)
        for item in sorted(rng.permutation(12)[:8] + 12 * (user % 2))
    ]
    (folder / "u.data").write_text("".join(rows))
    return titles
