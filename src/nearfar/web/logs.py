"""Writes logs as JSON lines, without personal data.

Fields are logged explicitly: no histories, user ids, request paths or queries. Of errors, the type
and the traceback are logged, never the message, which may quote the request.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

import orjson

LOGGER = logging.getLogger("nearfar.web")
SERVER = "uvicorn.error"


class JsonLines(logging.Formatter):
    """Formats a record as {"at", "level", "event", ...}."""

    def format(self, record: logging.LogRecord) -> str:
        fields = getattr(record, "fields", None)
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": "server" if fields is None else record.msg,
            **(fields or {}),
        }
        if fields is None:
            line["message"] = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            line |= failure(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


def failure(error: BaseException) -> dict[str, Any]:
    """Return the type and traceback of an error, without its message."""
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "where": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    }


def log(event: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log an event with its fields as one line."""
    if LOGGER.isEnabledFor(level):
        # LOGGER.log would search the stack for the caller's line, which is not logged.
        record = logging.LogRecord(LOGGER.name, level, "", 0, event, None, None)
        record.fields = fields
        LOGGER.handle(record)


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes all lines of one turn of the event loop at once; outside the loop, each immediately.

    The requests of a batch are all answered in one turn, and a write per request took a twentieth
    of the loop's time. Errors are written immediately, in case the process dies.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
            if record.levelno >= logging.ERROR or not _in_loop():
                self.flush()
            elif len(self._lines) == 1:
                asyncio.get_running_loop().call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write the buffered lines."""
        self.acquire()
        try:
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


def _in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def to_stream(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send the logs of the service and of uvicorn to a stream; stderr by default."""
    handler = BufferedHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    for name, lowest in ((LOGGER.name, level), (SERVER, max(level, logging.WARNING))):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(lowest)
        logger.propagate = False
