"""A temporary PostgreSQL server for a test or benchmark."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote

USER = "postgres"
PASSWORD_VARIABLE = "NEARFAR_THROWAWAY_PASSWORD"
START_SECONDS = 300


def binaries(extension: str | None = None) -> Path | None:
    """Return the folder of the newest initdb and postgres on this machine, or None.

    Args:
        extension: an extension that the server must have, as "vector". The package pgserver brings
            a server with this one.
    """
    packaged = Path("/usr/lib/postgresql").glob("*/bin")
    folders = sorted(packaged, key=lambda p: float(p.parent.name), reverse=True)
    on_path = shutil.which("initdb")
    if on_path is not None:
        folders.append(Path(on_path).resolve().parent)
    if extension is not None and (pgserver := find_spec("pgserver")) and pgserver.origin:
        folders.append(Path(pgserver.origin).parent / "pginstall" / "bin")
    return next((p for p in folders if _is_complete(p, extension)), None)


def _is_complete(folder: Path, extension: str | None) -> bool:
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        return False
    if extension is None:
        return True
    debian = Path("/usr/share/postgresql") / folder.parent.name
    shared = (debian, folder.parent / "share" / "postgresql")
    return any((place / "extension" / f"{extension}.control").exists() for place in shared)


def why_not(extension: str | None = None) -> str | None:
    """Return why no server can be started on this machine, or None if one can."""
    if binaries() is None and binaries(extension) is None:
        return "PostgreSQL's initdb is not installed (Debian: apt-get install postgresql)"
    if binaries(extension) is None:
        return f"PostgreSQL has no extension {extension} (pip install pgserver has pgvector's)"
    if os.geteuid() == 0:
        try:
            pwd.getpwnam(USER)
        except KeyError:
            return f"PostgreSQL does not run as root, and there is no user {USER!r}"
    return None


def _as_user() -> dict[str, Any]:
    return {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}


class Server:
    """A running server with a Unix socket and a password.

    Args:
        folder: folder of its data and its socket.
        password: password of its user "nearfar".
    """

    def __init__(self, folder: Path, password: str) -> None:
        self.folder = folder
        self.password = password

    @property
    def url(self) -> str:
        """The URL, with the environment variable of the password in its place."""
        return f"postgresql://nearfar:${{{PASSWORD_VARIABLE}}}@/postgres?host={self.folder}"

    @property
    def plain_url(self) -> str:
        """The URL with the password itself."""
        return self.url.replace(f"${{{PASSWORD_VARIABLE}}}", quote(self.password, safe=""))


@contextlib.contextmanager
def running(extension: str | None = None, **options: str) -> Iterator[Server]:
    """Start a server, and remove it at the end; its password is in the environment meanwhile.

    Args:
        extension: an extension that it must have.
        **options: settings of the server, as fsync="off".
    """
    programs = binaries(extension)
    assert programs is not None, why_not(extension)
    # Only the owner may enter the folders of tests, and the server may run as another user.
    folder = Path(tempfile.mkdtemp(prefix="nearfar-pg-", dir="/tmp"))
    password = f"p@ss/{secrets.token_hex(8)}:%"
    os.environ[PASSWORD_VARIABLE] = password
    process = None
    try:
        (folder / "password").write_text(password)
        if os.geteuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, USER, USER)
        subprocess.run(
            [programs / "initdb", "--pgdata", folder / "data", "--username=nearfar", "--no-sync",
             "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--encoding=UTF8",
             "--locale=C"],
            check=True, capture_output=True, cwd=folder, **_as_user(),
        )  # fmt: skip
        settings = {"listen_addresses": "", "unix_socket_directories": str(folder), **options}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", folder / "data",
                 *(word for k, v in settings.items() for word in ("-c", f"{k}={v}"))],
                stdout=log, stderr=subprocess.STDOUT, cwd=folder, **_as_user(),
            )  # fmt: skip
        server = Server(folder, password)
        _wait(server, process)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT)  # immediate shutdown: the data are deleted
            process.wait(START_SECONDS)
        os.environ.pop(PASSWORD_VARIABLE, None)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: Server, process: subprocess.Popen[Any]) -> None:
    import psycopg

    started = time.monotonic()
    while True:
        try:
            psycopg.connect(server.plain_url).close()
            return
        except psycopg.OperationalError as error:
            timed_out = time.monotonic() - started > START_SECONDS
            if process.poll() is not None or timed_out:
                log = (server.folder / "log").read_text()
                raise RuntimeError(f"PostgreSQL did not start: {log}") from error
        time.sleep(0.05)
