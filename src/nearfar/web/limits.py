"""How much the service takes on, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass, fields

from nearfar.core.errors import SettingsError

MAX_K = 200
MAX_ITEMS = 1000
MAX_LISTED = 10_000
MAX_TITLES = 100
MAX_USERS = 256
MAX_ID = 200
MAX_TITLE = 300


@dataclass(frozen=True)
class Limits:
    """Limits that whoever runs the service may set; those of lists are fixed by the interface.

    Args:
        batch_users: histories scored at once.
        wait_seconds: how long the first of a batch waits for others, while nothing is scored.
        queue_users: histories that may wait; who comes then is told to come again (429).
        deadline_seconds: how long a request may wait and be scored in all (504).
        body_bytes: of a request (413).
        body_seconds: in which a request must have arrived whole, its head too (408).
        drain_seconds: for the requests in progress when the service is told to stop.
        watch_seconds: between two looks at the registry's pointer.
        connections: open at once; further ones are answered 503.
    """

    batch_users: int = 32
    wait_seconds: float = 0.002
    queue_users: int = 512
    deadline_seconds: float = 2.0
    body_bytes: int = 1 << 20
    body_seconds: float = 10.0
    drain_seconds: float = 30.0
    watch_seconds: float = 2.0
    connections: int = 2048

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value < 0 or (value == 0 and field.name != "wait_seconds"):
                raise SettingsError(f"{field.name} is {value}; it must be above 0")
