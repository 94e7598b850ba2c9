"""Makes the peers' environments under `.peers/`, one after another.

python -m benchmarks.peers.setup [NAME ...]
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from benchmarks.peers.client import ENVIRONMENTS, HERE, Peer, names, python_of


def make(name: str) -> str | None:
    """Make an environment from scratch; return why the peer does not start, or None."""
    folder, requirements = ENVIRONMENTS / name, HERE / f"{name}.txt"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python_of(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    installed = subprocess.run([*pip, "-r", str(requirements)], check=False)
    if installed.returncode:
        return f"pip could not install {requirements.name}"
    return Peer(name).reason()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    peers = parser.parse_args().names or names()
    unknown = sorted(set(peers) - set(names()))
    if unknown:
        parser.error(f"unknown peer {', '.join(unknown)}; expected one of {', '.join(names())}")
    reasons = {name: make(name) for name in peers}
    for name, reason in reasons.items():
        print(f"{name}: {'ready' if reason is None else f'does not start: {reason}'}")
    sys.exit(any(reasons.values()))


if __name__ == "__main__":
    main()
