"""The splits of a study: made once, kept on disk, known by their fingerprints."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from nearfar.core.errors import ArtefactError, DataError, FetchError
from nearfar.core.files import read_json, write_json
from nearfar.data.events import Log
from nearfar.data.fetch import fetch
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.log import read_log, read_parts
from nearfar.data.splits.folder import is_split, load_split, read_split_manifest, save_split
from nearfar.data.splits.given import split_given
from nearfar.data.splits.hold_out import hold_out_users
from nearfar.data.splits.strong import SEED, split_strong
from nearfar.experiments.reproduction.datasets import DataSet

VALIDATION_SHARE = 0.03
"""Of the users of data that are published split: held out of training to choose the epoch by."""


@dataclass
class Splits:
    """The splits of a data set, one a seed, in a folder.

    Args:
        data: the data set.
        folder: where splits are kept.
        say: told what is being done.
    """

    data: DataSet
    folder: Path
    say: Callable[[str], None] = lambda text: None
    _log: Log | None = field(default=None, init=False, repr=False)

    def path(self, seed: int) -> Path:
        """The folder of a seed's split."""
        if self.data.protocol == "folder":
            assert self.data.data is not None
            return self.data.data
        text = json.dumps([self.data.preparation(), SEED + seed, VALIDATION_SHARE], sort_keys=True)
        return self.folder / f"{seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def fingerprint(self, seed: int) -> str | None:
        """The fingerprint of a seed's split; None where it is not made yet, or the data changed."""
        path = self.path(seed)
        if not is_split(path) or self._changed(path):
            return None
        return read_split_manifest(path)["fingerprint"]

    def prepare(self, seeds: range) -> None:
        """Make the splits that are missing; the log is read once and let go.

        Raises:
            DataError: the data cannot be read or split; it says so.
            FetchError: the data are not there and cannot be had; says where to put them.
        """
        for seed in seeds:
            if self.fingerprint(seed) is None:
                self._make(seed)
        self._log = None

    def load(self, seed: int) -> Split:
        """A seed's split, made before."""
        return load_split(self.path(seed))

    def about(self, seed: int) -> dict[str, Any]:
        """Counts and protocol of a seed's split."""
        manifest = read_split_manifest(self.path(seed))
        return {"counts": manifest["counts"], "protocol": manifest["protocol"]}

    def _make(self, seed: int) -> None:
        path = self.path(seed)
        if self.data.protocol == "folder":
            load_split(path)  # says what is wrong with it
            raise ArtefactError(f"{path} is no split; make it again")
        source = self._source()
        if self.data.protocol == "given":
            self.say(f"reading {source}")
            made = _given(source, SEED + seed)
        else:
            made = split_strong(self._read(source), self.data.held_out, SEED + seed)
        self.say(
            f"split {seed}: {made.train.n_users:,} training users, {made.train.n_items:,} items, "
            f"{made.train.n_interactions:,} interactions; {made.test.n_users:,} test users"
        )
        save_split(made, path)
        write_json(_beside(path), {"source": _state(source)})

    def _read(self, source: str | Path) -> Log:
        if self._log is None:
            self.say(f"reading {source}")
            columns = {k: v for k, v in vars(self.data.columns).items() if v is not None}
            named = self.data.name if self.data.published else None
            self._log = read_log(
                source,
                filters=self.data.filters,
                format=named,
                options=self.data.reading,
                weights="none",  # the published protocols have none
                **columns,
            )
        return self._log

    def _source(self) -> str | Path:
        if self.data.data is not None:
            return self.data.data
        if not self.data.published:
            return self.data.name
        try:
            return fetch(self.data.name)
        except FetchError as error:
            raise FetchError(f"{error}; or say where it lies with --data FILE") from None

    def _changed(self, path: Path) -> bool:
        """Whether the raw data are there and are not those that the split was made of."""
        if self.data.data is None or self.data.protocol == "folder" or not self.data.data.exists():
            return False
        made_of = _beside(path)
        return made_of.exists() and read_json(made_of)["source"] != self._raw_state

    @cached_property
    def _raw_state(self) -> list[Any] | str:
        assert self.data.data is not None
        return _state(self.data.data)


def training_of(split: Split, *, validates: bool) -> tuple[Interactions, FoldIn | None]:
    """What to train on, and the validation users.

    Where every user is in training (published split), a method that does not look at validation
    users learns from them too, as published.
    """
    if split.protocol.get("kind") == "given" and not validates:
        return split.test.fold_in, None
    return split.train, split.validation


def _given(source: str | Path, seed: int) -> Split:
    """The published parts; a few users are held out of training to choose the epoch by.

    At the test they are folded in with all that they have in training, as every other user.
    """
    train, test = read_parts(source)
    whole = split_given(train, test, validation_share=0)
    rest, validation = hold_out_users(whole.train, VALIDATION_SHARE, seed=seed)
    protocol = {**whole.protocol, "validation_users": validation.n_users, "seed": seed}
    return Split(rest, validation, whole.test, protocol)


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _state(source: str | Path) -> list[Any] | str:
    """What tells whether files have changed: sizes and times, not their place."""
    if isinstance(source, str):
        return source
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{source} holds no files")
    return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files]
