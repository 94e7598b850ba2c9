"""The wheel alone in an empty environment, which sees only what its metadata ask for."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-of-this-test"
"""Seconds after which a test gives up waiting for an event; reached only where it never comes."""


@dataclass(frozen=True)
class Environment:
    """An environment with the wheel in it.

    Args:
        folder: of the environment, as `venv` makes it.
        wheel: the distribution that was installed.
    """

    folder: Path
    wheel: Distribution

    @property
    def program(self) -> Path:
        return self.folder / "bin" / "nearfar"

    def required(self, *extras: str) -> dict[str, Distribution]:
        """What the wheel and its extras require, directly and indirectly, by normalised name.

        It is taken from what is installed for the tests, so that nothing is fetched.

        Raises:
            importlib.metadata.PackageNotFoundError: something is not installed.
        """
        found: dict[str, Distribution] = {}
        asked: set[tuple[str, str]] = set()

        def follow(owner: Distribution, extra: str) -> None:
            for text in owner.requires or []:
                requirement = Requirement(text)
                marker = requirement.marker
                if marker is not None and not marker.evaluate({"extra": extra}):
                    continue
                name = re.sub(r"[-_.]+", "-", requirement.name).lower()
                if name != "nearfar" and name not in found:
                    found[name] = here(name)
                    assert requirement.specifier.contains(found[name].version, prereleases=True)
                for wanted in sorted({*requirement.extras, ""}):
                    if (name, wanted) not in asked:
                        asked.add((name, wanted))
                        follow(self.wheel if name == "nearfar" else found[name], wanted)

        for extra in ("", *extras):
            follow(self.wheel, extra)
        return found

    def variables(self, *extras: str) -> dict[str, str]:
        """The environment variables of a process that sees the wheel and its requirements only."""
        links = self.folder / "_".join(("links", *extras))
        if not links.exists():
            links.mkdir()
            for required in self.required(*extras).values():
                for top in sorted({file.parts[0] for file in required.files or []}):
                    target = Path(str(required.locate_file(top)))
                    if top not in ("..", "__pycache__") and not (links / top).exists():
                        (links / top).symlink_to(target)
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("NEARFAR", "PYTHON"))}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        cache = Path(os.environ.get("NEARFAR_CACHE", Path.home() / ".cache" / "nearfar"))
        return {
            **inherited, "PATH": path, "PYTHONPATH": str(links), "OMP_NUM_THREADS": "1",
            "NEARFAR_CACHE": str(cache),
        }  # fmt: skip

    def run(
        self, *arguments: str, folder: Path, extras: tuple[str, ...] = (), code: int = 0
    ) -> str:
        """Run `python -m nearfar` in a folder; returns its stdout, on failure its stderr."""
        done = subprocess.run(
            [self.folder / "bin" / "python", "-m", "nearfar", *arguments],
            cwd=folder, env=self.variables(*extras), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr


@functools.cache
def here(name: str) -> Distribution:
    """A distribution that the tests run with."""
    return distribution(name)


def build(folder: Path) -> tuple[Path, Path]:
    """Build as `make dist` does; returns the sdist, and the wheel made of it alone."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (sdist,) = folder.glob("*.tar.gz")
    pip("wheel", "--no-build-isolation", "--wheel-dir", str(folder), str(sdist))
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def pip(*arguments: str, python: Path | None = None) -> None:
    """Run pip without an index and without dependencies."""
    target = [] if python is None else ["--python", str(python)]
    subprocess.run(
        [sys.executable, "-m", "pip", *target, "--quiet", *arguments, "--no-deps", "--no-index"],
        check=True, capture_output=True,
    )  # fmt: skip


def install(wheel: Path, folder: Path) -> Environment:
    """An empty environment with this wheel and nothing else."""
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    pip("install", str(wheel), python=folder / "bin" / "python")
    return Environment(folder, next(_in(folder)))


def _in(folder: Path) -> Iterator[Distribution]:
    (site,) = folder.glob("lib/python*/site-packages")
    return (d for d in distributions(path=[str(site)]) if d.name == "nearfar")


@contextlib.contextmanager
def listening(command: list[str], variables: dict[str, str], folder: Path) -> Iterator[str]:
    """A service as a program; gives its address."""
    with subprocess.Popen(
        command, env=variables, cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stderr is not None
            lines = []
            for line in process.stderr:
                lines.append(line)
                found = re.search(r'"event":"listening".*"port":(\d+)', line)
                if found:
                    break
            else:
                raise AssertionError("".join(lines))
            url = f"http://127.0.0.1:{found[1]}"
            until(lambda: ask(f"{url}/healthz") is not None)
            yield url
        finally:
            process.terminate()


def ask(url: str, body: Any = None) -> Any:
    """The JSON that a request is answered with, whatever its status; None before it listens."""
    request = urllib.request.Request(
        url, None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            return None
        raise


def until(done: Any, seconds: float = PATIENCE) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
