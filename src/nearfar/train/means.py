"""Means of the objective terms over an epoch, read from the device every few steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class Means:
    """The mean of each objective term over users; phases of an epoch may have different terms.

    Attributes:
        users_done: users of all steps, including steps whose terms have not been read.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._sums: dict[str, float] = {}
        self._users: dict[str, int] = {}
        self._unread: list[tuple[tuple[str, ...], Tensor, int]] = []
        self.users_done = 0

    @property
    def unread(self) -> int:
        """Steps whose terms are still on the device."""
        return len(self._unread)

    @property
    def values(self) -> dict[str, float]:
        """The means over the steps whose terms have been read from the device."""
        return {name: value / max(1, self._users[name]) for name, value in self._sums.items()}

    def add(self, terms: Mapping[str, Tensor], n_users: int) -> None:
        """Add the means of a step; they stay on the device until `read_waiting`."""
        values = torch.stack(list(terms.values())).double() * n_users
        self._unread.append((tuple(terms), values, n_users))
        self.users_done += n_users

    def read_waiting(self) -> list[str]:
        """Read the unread terms from the device; return the names whose sums are not finite."""
        by_names: dict[tuple[str, ...], list[tuple[Tensor, int]]] = {}
        for names, values, n_users in self._unread:
            by_names.setdefault(names, []).append((values, n_users))
        self._unread.clear()
        for names, steps in by_names.items():
            sums = torch.stack([values for values, _ in steps]).sum(0).tolist()
            n_users = sum(n for _, n in steps)
            for name, value in zip(names, sums, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
                self._users[name] = self._users.get(name, 0) + n_users
        return [name for name, value in self._sums.items() if not math.isfinite(value)]

    def clear(self) -> None:
        """Start a new epoch."""
        self._sums, self._users, self.users_done = {}, {}, 0
        self._unread.clear()

    def state(self) -> dict[str, Any]:
        """Return what has been read, as JSON-able values."""
        return {"sums": self._sums, "users": self._users, "users_done": self.users_done}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned."""
        self._sums, self._users = dict(state["sums"]), dict(state["users"])
        self.users_done = state["users_done"]
