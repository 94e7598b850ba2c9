"""The files of a search: trials as JSON, from which it resumes, and the best settings as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nearfar.core.errors import SettingsError
from nearfar.core.files import read_json, write_json
from nearfar.evaluation.text import aligned
from nearfar.experiments.stopping import Stop
from nearfar.metrics.ndcg import NDCG

FORMAT = 1
N_PRINTED = 10
METRIC = NDCG(100)
"""The validation metric of a search; trainings also choose their best epoch by it."""

TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class TuningTrial:
    """A finished trial of a search.

    Args:
        number: number of the trial, from 0.
        state: complete, pruned after some epochs, or failed.
        values: the searched settings, by dotted name.
        told: whether the sampler learns from it; False if a value lies outside the space.
        score: validation metric of the best epoch; None unless complete.
        epochs: validation metric after each epoch; empty for algorithms without epochs.
        seconds: duration of the fit.
        reason: why it failed.
    """

    number: int
    state: TrialState
    values: dict[str, Any]
    told: bool = True
    score: float | None = None
    epochs: list[float] = field(default_factory=list)
    seconds: float = 0.0
    reason: str | None = None


@dataclass(frozen=True)
class Tuned:
    """The result of a search.

    Args:
        trials: finished trials, in order.
        best: best complete trial, or None.
        settings: settings of the best trial that differ from the defaults.
        stop: what stopped the search, or None.

    Examples:
        >>> search = nf.TuningSearch("ease", "tuned")
        >>> nf.tune(search, split.train, split.validation, 1).trials[0].state
        'complete'
    """

    trials: tuple[TuningTrial, ...]
    best: TuningTrial | None
    settings: dict[str, Any]
    stop: Stop | None

    def __str__(self) -> str:
        """Return a table of the best trials: score, number of epochs, searched settings."""
        ranked = sorted(self.trials, key=lambda t: (-(t.score or -1.0), t.number))[:N_PRINTED]
        keys = list(self.trials[0].values) if self.trials else []
        rows = [
            [str(t.number), _outcome(t), str(len(t.epochs) or ""),
             *(format_value(t.values[key]) for key in keys)]
            for t in ranked
        ]  # fmt: skip
        return aligned(["trial", f"validation {METRIC}", "epochs", *keys], rows)


@dataclass
class TrialFile:
    """The JSON file of a search's trials.

    Args:
        path: path of the file.
        identity: what identifies the search; a file of another search is refused.
        trials: trials in the file, in order.

    Raises:
        SettingsError: the file holds the trials of another search.
    """

    path: Path
    identity: dict[str, Any]
    trials: list[TuningTrial] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.path.exists():
            return
        content = read_json(self.path)
        changed = [
            key
            for key in sorted({*content["identity"], *self.identity})
            if content["identity"].get(key) != self.identity.get(key)
        ]
        if changed:
            raise SettingsError(
                f"{self.path} is of another search (other {', '.join(changed)}); name another "
                "folder with --out, or delete it"
            )
        self.trials = [TuningTrial(**trial) for trial in content["trials"]]

    def add(self, trial: TuningTrial, metadata: dict[str, Any]) -> None:
        """Add a trial and write the file, with `metadata` as further entries."""
        self.trials.append(trial)
        content = {
            "identity": self.identity,
            **metadata,
            "trials": [asdict(t) for t in self.trials],
        }
        write_json(self.path, content)


def _outcome(trial: TuningTrial) -> str:
    return trial.state if trial.score is None else f"{trial.score:.4f}"


def format_value(value: Any) -> str:
    """Return a setting's value as text, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def best_of(trials: Sequence[TuningTrial]) -> TuningTrial | None:
    """Return the complete trial with the highest score, the first of equals; None without any."""
    complete = [trial for trial in trials if trial.score is not None]
    return max(complete, key=lambda t: (t.score or 0.0, -t.number)) if complete else None


def settings_toml(values: Mapping[str, Any]) -> str:
    """Return TOML with one line per setting.

    Tables are inline, so that the lines can be put into any section.
    """
    return "".join(f"{_key(key)} = {_text(value)}\n" for key, value in values.items())


def changed_settings(plain: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that differ from the defaults; all settings of a part of another kind."""
    result = {}
    for key, value in plain.items():
        default = defaults.get(key)
        if value == default:
            continue
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            kind = {"kind": value["kind"]} if "kind" in value else {}
            same = value.get("kind") == default.get("kind")
            value = kind | (changed_settings(value, default) if same else dict(value))
        result[key] = value
    return result


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _text(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_text(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
