"""The rows of the paper's tables, with their labels, algorithms and published values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from nearfar.core import settings
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.experiments.reproduction.ablation import Ablation
from nearfar.metrics.metric import Metric

Table = Literal["table1", "groups", "table6", "figure2", "ablations", "tradeoff"]

PIA = "pia"
"""The variant whose settings hold the alignment."""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Args:
        label: name of the row in the paper.
        algorithm: name of the algorithm.
        variants: sections of the algorithm's settings to merge over that of the data set; see
            `row_settings`.
        fixed: settings that define the row; they replace those of the data set.
        extra: whether the paper's table does not have the row.
        vae: whether the row is a candidate for the best autoencoder.
        validates: whether training uses validation users. If not, and the split has every user in
            training, it trains on all of them.
        plain: label of the row that it is compared with, user by user.
        ablation: change of the algorithm's alignment after all settings are merged; None for none.
        point: position in the sweeps of section 2.4: the values of "beta", "keep_prob" and
            "lambda_A"; None for rows of other tables.
    """

    label: str
    algorithm: str
    variants: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    extra: bool = False
    vae: bool = False
    validates: bool = True
    plain: str | None = None
    ablation: Ablation | None = None
    point: Mapping[str, float] | None = None

    @property
    def aligned(self) -> bool:
        """Whether the row has an alignment."""
        return PIA in self.variants and (self.ablation is None or self.ablation.aligned)

    @property
    def groups_users(self) -> bool:
        """Whether `diversity_table` groups test users by the spread under this row's anchors."""
        return self.label.endswith(f", {ALGORITHM_1}")

    def answers_to(self, name: str) -> bool:
        """Return whether a name selects this row: a label, algorithm, variant or combination."""
        combination = "+".join((self.algorithm, *self.variants))
        names = {self.label, self.algorithm, *self.variants, combination}
        return _squeeze(name) in map(_squeeze, names)


def _without_validation(label: str, algorithm: str, *, extra: bool = False) -> TableRow:
    return TableRow(label, algorithm, extra=extra, validates=False)


def _pair(row: TableRow, label: str | None = None) -> tuple[TableRow, TableRow]:
    """Return a row, and the same row with alignment."""
    aligned = replace(
        row,
        label=label or f"{row.label} + PIA",
        variants=(*row.variants, PIA),
        fixed={**row.fixed, "alignment": {"kind": PIA}},
        plain=row.label,
    )
    return row, aligned


EASE = "EASE"
MULTI_VAE = _pair(TableRow("Multi-VAE", "multvae", vae=True))
SPECTRAL = _pair(
    TableRow(
        "Multi-VAE, spectral", "multvae", ("spectral",), {"initialiser": "spectral"}, True, vae=True
    )
)


def _soft(label: str, algorithm: str, background: float) -> tuple[TableRow, TableRow]:
    """Return a row with soft targets, to compare with the published loss, and the same with PIA."""
    fixed = {"likelihood": {"kind": "by_size", "background": background}}
    row = TableRow(f"{label}, soft targets", algorithm, ("soft",), fixed, extra=True, vae=True,
              plain=label)  # fmt: skip
    return _pair(row)


NO_ALIGNMENT, ALGORITHM_1 = "no alignment", "Algorithm 1"

ABLATIONS: dict[str, tuple[str, Ablation]] = {
    NO_ALIGNMENT: ("plain", Ablation(aligned=False)),
    "lambda fixed": ("fixed", Ablation(patience=0)),
    ALGORITHM_1: ("algorithm1", Ablation(patience=5, scale=1.2)),
    "drift only, lambda fixed": ("drift", Ablation(patience=0, parts="drift")),
    "variance only, lambda fixed": ("variance", Ablation(patience=0, parts="variance")),
    "growth only, of the KL weight": (
        "growth", Ablation(aligned=False, kl_grows=True, patience=5, scale=1.2),
    ),
    "inverse popularity": (
        "rarity", Ablation(patience=5, scale=1.2, inverse_popularity=True),
    ),
    "lambda x 0.1": ("tenth", Ablation(patience=5, scale=1.2, factor=0.1)),
    "lambda x 0.3": ("third", Ablation(patience=5, scale=1.2, factor=0.3)),
    "lambda x 3": ("triple", Ablation(patience=5, scale=1.2, factor=3.0)),
    "lambda x 10": ("tenfold", Ablation(patience=5, scale=1.2, factor=10.0)),
    "patience 2": ("short-patience", Ablation(patience=2, scale=1.2)),
    "patience 10": ("long-patience", Ablation(patience=10, scale=1.2)),
    "scale 1.05": ("small-scale", Ablation(patience=5, scale=1.05)),
    "scale 1.5": ("large-scale", Ablation(patience=5, scale=1.5)),
}  # fmt: skip
"""Label of an ablation, after that of its algorithm -> its variant and change."""


def _ablations(label: str, algorithm: str) -> tuple[TableRow, ...]:
    """Return the ablations of an algorithm; all have the settings of its row with PIA."""
    plain = f"{label}, {NO_ALIGNMENT}"
    return tuple(
        TableRow(
            f"{label}, {name}", algorithm, (PIA, variant), {"alignment": {"kind": PIA}},
            vae=True, plain=None if name == NO_ALIGNMENT else plain,
            ablation=ablation,
        )
        for name, (variant, ablation) in ABLATIONS.items()
    )  # fmt: skip


BASE_POINT = {"beta": 0.2, "keep_prob": 0.5, "lambda_A": 0.0}
SWEEPS: dict[str, tuple[float, ...]] = {
    "beta": (0.01, 1.0, 5.0, 20.0),
    "keep_prob": (1.0, 0.8, 0.2),
    "lambda_A": (0.3, 1.0, 3.0),
}
"""Values in the trade-off of section 2.4, which changes one setting of `BASE_POINT` at a time."""

ALIGNED_MASKS = 1.0
"""lambda_A of the rows that change keep_prob and have alignment too."""


def _tradeoff(**changed: float) -> TableRow:
    """Return a point of the trade-off: Mult-VAE with the other settings of the data set."""
    point = {**BASE_POINT, **changed}
    fixed: dict[str, Any] = {
        "beta": {"kind": "linear_anneal", "end": point["beta"], "steps": 200},
        "corruption": {"kind": "dropout", "keep_prob": point["keep_prob"]},
    }
    if point["lambda_A"]:
        fixed["alignment"] = {"kind": PIA, "weight": point["lambda_A"], "patience": 0}
    label = ", ".join(f"{name} {value:g}" for name, value in point.items())
    return TableRow(label, "multvae", (*changed,), fixed, vae=True, point=point)


TABLES: dict[Table, tuple[TableRow, ...]] = {
    "table1": (
        _without_validation("Popularity", "popularity"),
        _without_validation(EASE, "ease"),
        _without_validation("EDLAE", "edlae", extra=True),
        _without_validation("MF", "mf"),
        _without_validation("WMF", "wmf"),
        _without_validation("GRALS", "grals"),
        _without_validation("PLRec", "plrec"),
        TableRow("WARP", "warp"),
        TableRow("LambdaNet", "lambdanet"),
        TableRow("CDAE", "cdae"),
        TableRow("Multi-DAE", "multdae", extra=True),
        TableRow("RaCT", "ract", vae=True),
        *MULTI_VAE,
        *SPECTRAL,
        *_soft("Multi-VAE", "multvae", 1.0),
        *_pair(TableRow("RecVAE", "recvae", vae=True)),
        *_soft("RecVAE", "recvae", 0.3),
        *_pair(TableRow("H+Vamp", "hvamp", extra=True, vae=True)),
    ),
    "groups": MULTI_VAE,
    "table6": (
        *_pair(TableRow("Shallow encoder", "multvae", ("base",), {"encoder": {"kind": "base"}})),
        *_pair(TableRow("Deeper encoder", "multvae", ("deeper",), {"encoder": {"kind": "deeper"}})),
        *_pair(
            TableRow("Shallow (IAF) encoder", "multvae", ("iaf",), {"encoder": {"kind": "iaf"}})
        ),
    ),
    "figure2": (
        TableRow("Clean input", "multvae", ("clean",), {"corruption": {"kind": "clean"}}),
        *_pair(TableRow("Masking", "multvae")),
    ),
    "ablations": (
        *_ablations("Multi-VAE", "multvae"),
        *_ablations("RecVAE", "recvae"),
        *_ablations("H+Vamp", "hvamp"),
    ),
    "tradeoff": (
        _tradeoff(),
        *(_tradeoff(**{name: value}) for name, values in SWEEPS.items() for value in values),
        *(_tradeoff(keep_prob=value, lambda_A=ALIGNED_MASKS) for value in SWEEPS["keep_prob"]),
    ),
}


def rows_of(table: Table, only: Sequence[str] = ()) -> tuple[TableRow, ...]:
    """Return the rows of a table, or those that `only` names, in the table's order.

    Args:
        table: name of the table.
        only: labels, algorithms ("multvae"), variants ("pia", "iaf") or both ("multvae+pia");
            case and punctuation do not matter.

    Raises:
        UnknownNameError: the table or a row is unknown.
        SettingsError: only a part of figure2 is requested.
    """
    if table not in TABLES:
        raise UnknownNameError("table", table, TABLES)
    rows = TABLES[table]
    if not only:
        return rows
    if table == "figure2":
        raise SettingsError("figure2 needs all three of its settings; leave --only out")
    for name in only:
        if not any(row.answers_to(name) for row in rows):
            known = {k for row in rows for k in (row.label, row.algorithm, *row.variants)}
            raise UnknownNameError(f"row of {table}", name, known)
    return tuple(row for row in rows if any(row.answers_to(name) for name in only))


def named_rows(table: Table, text: str) -> tuple[str, ...]:
    """Split comma-separated names of rows; commas within a row's label do not separate.

    Args:
        table: table of the rows.
        text: names as on the command line, such as "ease,Multi-VAE, spectral".
    """
    parts, names = [part.strip() for part in text.split(",")], []
    while parts:
        for size in range(len(parts), 0, -1):
            name = ", ".join(parts[:size])
            if size == 1 or any(row.answers_to(name) for row in TABLES[table]):
                names.append(name)
                parts = parts[size:]
                break
    return tuple(names)


def _squeeze(name: str) -> str:
    """Return the name in lower case, with letters and digits only."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


FILE = Path(__file__).with_name("published.toml")


@dataclass(frozen=True)
class Published:
    """The published values of a table on a data set.

    Args:
        rows: label -> printed metric -> value, including rows of other work.
        elsewhere: labels of the rows of other work.
        standard_errors: metric -> standard error of a published mean, if known.
    """

    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    elsewhere: frozenset[str] = frozenset()
    standard_errors: dict[str, float] = field(default_factory=dict)

    def value(self, label: str, metric: Metric) -> float | None:
        """Return the published mean of a row, or None."""
        return self.rows.get(label, {}).get(str(metric))

    @property
    def digits(self) -> int:
        """The number of published decimals."""
        values = [value for row in self.rows.values() for value in row.values()]
        return 3 if all(round(value, 3) == value for value in values) else 4

    def beyond(self, labels: Sequence[str]) -> list[str]:
        """Return the labels of other work that are not among `labels`."""
        return [label for label in self.rows if label in self.elsewhere and label not in labels]


def published(table: str, dataset: str) -> Published:
    """Return the published values of a table on a data set; empty if there are none."""
    section = settings.read_toml(FILE).get(table, {}).get(dataset)
    if section is None:
        return Published()
    metrics = section["metrics"]
    paper, other = section.get("rows", {}), section.get("elsewhere", {})
    rows = {
        label: dict(zip(metrics, values, strict=True))
        for label, values in {**paper, **other}.items()
    }
    errors = section.get("standard_errors")
    return Published(
        rows, frozenset(other), dict(zip(metrics, errors, strict=True)) if errors else {}
    )
