"""The service on a port."""

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
"""How long the event loop may keep the interpreter from the scoring thread. A batch asks for it
between some thirty products, and at Python's own 5 ms would wait longer than it computes; at .1 ms
the service answers a fifth less than at .02, and below that nothing is gained (two cores)."""

COLLECT_AFTER = (10_000, 20, 20)
"""Objects between collections, in place of Python's 700: a request makes none in cycles that last,
and a fourteenth of the event loop's time went into looking for them."""


def serve(settings: ServiceSettings, host: str, port: int) -> None:
    """Answer requests until a signal stops it; what is in progress then is answered first.

    Args:
        settings: what to serve.
        host: the address to listen at.
        port: 0 for any that is free; the log tells which.

    Raises:
        NearfarError: what is to be served cannot be read, or the address is not free.
    """
    listener = _bind(host, port)
    try:
        service = Service(settings)
        service.load()
        # What stands now stays; collections need not look at it again.
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
