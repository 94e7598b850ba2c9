"""The splits of a study, made once and stored on disk."""

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
"""Share of the users held out for early stopping, for data that are published in two parts."""


@dataclass
class Splits:
    """The splits of a data set, one per seed, in a folder.

    Args:
        data: the data set.
        folder: folder of the splits.
        say: called with each line of progress.
    """

    data: DataSet
    folder: Path
    say: Callable[[str], None] = lambda text: None
    _log: Log | None = field(default=None, init=False, repr=False)

    def path(self, seed: int) -> Path:
        """Return the folder of a seed's split."""
        if self.data.protocol == "folder":
            assert self.data.data is not None
            return self.data.data
        text = json.dumps([self.data.preparation(), SEED + seed, VALIDATION_SHARE], sort_keys=True)
        return self.folder / f"{seed}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"

    def fingerprint(self, seed: int) -> str | None:
        """Return the fingerprint of a seed's split; None before it is made or if data changed."""
        path = self.path(seed)
        if not is_split(path) or self._changed(path):
            return None
        return read_split_manifest(path)["fingerprint"]

    def prepare(self, seeds: range) -> None:
        """Make the missing splits; the log is read once and then released.

        Raises:
            DataError: the data cannot be read or split.
            FetchError: the data cannot be downloaded; the message says where to put them.
        """
        for seed in seeds:
            if self.fingerprint(seed) is None:
                self._make(seed)
        self._log = None

    def load(self, seed: int) -> Split:
        """Load a seed's split, which `prepare` has made."""
        return load_split(self.path(seed))

    def metadata(self, seed: int) -> dict[str, Any]:
        """Return counts and protocol of a seed's split."""
        manifest = read_split_manifest(self.path(seed))
        return {"counts": manifest["counts"], "protocol": manifest["protocol"]}

    def _make(self, seed: int) -> None:
        path = self.path(seed)
        if self.data.protocol == "folder":
            load_split(path)  # raises an error that says what is wrong
            raise ArtefactError(f"{path} is not a split; make it again")
        source = self._source()
        if self.data.protocol == "given":
            self.say(f"reading {source}")
            split = _split_published_parts(source, SEED + seed)
        else:
            split = split_strong(self._read(source), self.data.held_out, SEED + seed)
        self.say(
            f"split {seed}: {split.train.n_users:,} training users, {split.train.n_items:,} items, "
            f"{split.train.n_interactions:,} interactions; {split.test.n_users:,} test users"
        )
        save_split(split, path)
        write_json(_source_record(path), {"source": _file_state(source)})

    def _read(self, source: str | Path) -> Log:
        if self._log is None:
            self.say(f"reading {source}")
            columns = {k: v for k, v in vars(self.data.columns).items() if v is not None}
            format_name = self.data.name if self.data.published else None
            self._log = read_log(
                source,
                filters=self.data.filters,
                format=format_name,
                options=self.data.reading,
                weights="none",  # the published protocols have no weights
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
            raise FetchError(f"{error}; or name its file with --data FILE") from None

    def _changed(self, path: Path) -> bool:
        """Return whether the raw data exist and differ from those that the split was made of."""
        if self.data.data is None or self.data.protocol == "folder" or not self.data.data.exists():
            return False
        record = _source_record(path)
        return record.exists() and read_json(record)["source"] != self._raw_state

    @cached_property
    def _raw_state(self) -> list[Any] | str:
        assert self.data.data is not None
        return _file_state(self.data.data)


def training_data(split: Split, *, validates: bool) -> tuple[Interactions, FoldIn | None]:
    """Return the interactions to train on, and the validation users.

    With a split published in two parts, a method without validation trains on all users, as
    published.
    """
    if split.protocol.get("kind") == "given" and not validates:
        return split.test.fold_in, None
    return split.train, split.validation


def _split_published_parts(source: str | Path, seed: int) -> Split:
    """Split data published in two parts, with a few users held out for early stopping.

    The test folds in all training items of these users, as of every other user.
    """
    train, test = read_parts(source)
    split = split_given(train, test, validation_share=0)
    remaining, validation = hold_out_users(split.train, VALIDATION_SHARE, seed=seed)
    protocol = {**split.protocol, "validation_users": validation.n_users, "seed": seed}
    return Split(remaining, validation, split.test, protocol)


def _source_record(path: Path) -> Path:
    return path.with_name(path.name + ".json")


def _file_state(source: str | Path) -> list[Any] | str:
    """Return names, sizes and times of files, to detect changes; folders may move."""
    if isinstance(source, str):
        return source
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    if not files:
        raise DataError(f"{source} holds no files")
    return [[p.name, p.stat().st_size, p.stat().st_mtime_ns] for p in files]
