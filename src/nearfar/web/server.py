"""Runs the service on a port."""

from __future__ import annotations

import gc
import logging
import socket
import sys
from importlib.util import find_spec
from ipaddress import ip_address

import uvicorn

from nearfar.core.errors import SettingsError
from nearfar.web.app import make_app
from nearfar.web.logs import log
from nearfar.web.protocol import limited
from nearfar.web.service import Service
from nearfar.web.settings import TOKEN, ServiceSettings

KEEP_ALIVE_SECONDS = 30
SWITCH_SECONDS = 0.00002
"""How long the event loop may hold the interpreter lock while the scoring thread waits. A batch
needs the lock between some thirty products; at Python's default of 5 ms it would wait longer than
it computes. At 0.1 ms the service answers a fifth fewer requests than at 0.02 ms, and shorter is no
faster (two cores)."""

COLLECT_AFTER = (10_000, 20, 20)
"""Objects between garbage collections, instead of Python's 700: requests leave no cycles, and the
search for them took a fourteenth of the event loop's time."""


def serve(settings: ServiceSettings, host: str, port: int) -> None:
    """Answer requests until a signal stops the service; requests in progress are completed.

    Args:
        settings: settings of the service.
        host: address to listen at.
        port: port to listen at; 0 for a free one, which is logged.

    Raises:
        NearfarError: a served file cannot be read, or the address is not available.
    """
    listener = _bind(host, port)
    try:
        service = Service(settings)
        service.load()
        # Everything loaded so far stays; collections need not visit it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_AFTER)
        sys.setswitchinterval(SWITCH_SECONDS)
        config = uvicorn.Config(
            make_app(service),
            http=limited(settings.limits.body_seconds),
            loop="auto" if find_spec("uvloop") is None else "uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, round(settings.limits.drain_seconds)),
            limit_concurrency=settings.limits.connections,
        )
        address = listener.getsockname()
        log("listening", host=address[0], port=address[1])
        if settings.token is None and not ip_address(address[0].partition("%")[0]).is_loopback:
            log("open-to-all", logging.WARNING, host=address[0], remedy=f"set {TOKEN}")
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()


def _bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address.

    Raises:
        SettingsError: the address is unknown or not available.
    """
    refusal = f"cannot listen at {host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise SettingsError(f"{refusal} ({error}); name another address") from None
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise SettingsError(f"{refusal} ({error}); name another --port") from None
    return listener
