"""The process of a peer in its own environment, and the commands to it.

    with Peer("cornac") as peer:
        peer.load("train.npz", threads=2)
        seconds = peer.ask("steps", n=5)["seconds"]

`with` raises `UnavailableError` with the reason why a peer does not start; `reason()` returns it.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parents[1] / ".peers"
PATHS = ("train", "histories", "out")
STARTING_SECONDS = 120.0


class PeerError(RuntimeError):
    """A peer failed, died or took too long."""


class UnavailableError(PeerError):
    """A peer's environment is missing or does not work."""


def names() -> list[str]:
    """Return the names of the peers that have an adapter."""
    return sorted(path.name.removesuffix("_peer.py") for path in HERE.glob("*_peer.py"))


def python_of(name: str) -> Path:
    """Return the path of the interpreter in a peer's environment, which may not exist yet."""
    folder, executable = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return ENVIRONMENTS / name / folder / executable


class Peer:
    """A peer's process, which runs inside `with` in a temporary working folder.

    Args:
        name: a peer of `names()`, or a label.
        python: interpreter; by default that of the peer's environment.
        adapter: script to run; by default the peer's adapter.
    """

    def __init__(
        self, name: str, *, python: Path | None = None, adapter: Path | None = None
    ) -> None:
        self.name = name
        self.python = python or python_of(name)
        self.adapter = adapter or HERE / f"{name}_peer.py"
        self.arguments: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def __enter__(self) -> Peer:
        reason = self.reason()
        if reason:
            raise UnavailableError(f"{self.name} does not start: {reason}")
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def available(self) -> bool:
        """Return whether the environment exists and can import the library."""
        return self.reason() is None

    def reason(self) -> str | None:
        """Return why the peer is not available, or None if it is."""
        if not self.python.exists():
            return f"no environment; make it with python -m benchmarks.peers.setup {self.name}"
        # A separate process: the library may be imported only after `load` has set the threads.
        trial = Peer(self.name, python=self.python, adapter=self.adapter)
        trial._start()
        try:
            trial.ask("check", timeout=STARTING_SECONDS)
        except PeerError as error:
            return str(error)
        finally:
            trial._stop()
        return None

    def load(self, train: Path | str, *, timeout: float = 600.0, **settings: Any) -> float:
        """Build the peer's data set and model, and return the seconds."""
        return self.ask("load", timeout=timeout, train=train, **settings)["seconds"]

    def ask(self, cmd: str, *, timeout: float = 600.0, **fields: Any) -> dict[str, Any]:
        """Send a command and return the reply.

        Args:
            cmd: a command of `protocol`.
            timeout: seconds after which the peer is killed.
            **fields: arguments of the command.

        Raises:
            PeerError: the peer is not running, failed, died or took too long.
        """
        if self._process is None or self._process.stdin is None:
            raise PeerError(f"{self.name} is not running")
        paths = {key: str(Path(fields[key]).resolve()) for key in PATHS if key in fields}
        line = json.dumps({"cmd": cmd, **fields, **paths}) + "\n"
        try:
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
        except OSError:
            raise self._stopped_error(cmd) from None
        reply = json.loads(self._read_line(cmd, timeout))
        if "error" in reply:
            raise PeerError(f"{cmd}: {reply['error']}")
        return reply

    def _read_line(self, cmd: str, timeout: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as ready:
            ready.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not ready.select(max(0.0, deadline - time.monotonic())):
                    self._stop()
                    raise PeerError(f"{cmd}: no reply within {timeout:g} s")
                chunk = os.read(self._process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise self._stopped_error(cmd)
                self._unread += chunk
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _stopped_error(self, cmd: str) -> PeerError:
        self._stderr.seek(0)
        last_line = self._stderr.read().decode(errors="replace").strip().splitlines()[-1:]
        self._stop()
        return PeerError(f"{cmd}: the process ended: {''.join(last_line) or 'no message'}")

    def _start(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        self._unread = b""
        # A new session is a process group, so that killing it also kills the peer's children.
        self._process = subprocess.Popen(
            [str(self.python), str(self.adapter), *self.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            cwd=self._folder.name,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
            start_new_session=True,
        )

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.close()
        except BrokenPipeError:
            print(f"{self.name}: the peer did not read its last command", file=sys.stderr)
        process.stdout.close()
        self._stderr.close()
        self._folder.cleanup()
