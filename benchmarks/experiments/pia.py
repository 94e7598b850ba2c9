"""Variants of PIA that the paper's text allows, measured on validation users.

    python -m benchmarks.experiments.pia --data lastfm/hvamp,ml-1m/hvamp [--out pia.json]

A name is SET/RECIPE or SET/RECIPE/ROW: "lastfm/hvamp" is all rows of `rows("hvamp")`, each with
seed 0 and compared with the plain training per user. A name that the record already has gets one
more seed for the plain row and for rows that gain more than `PROMISING`. SET@test uses the test
users of another split, and is meant for a single ROW. The results are in docs/results.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor, nn

import nearfar as nf
from benchmarks import defaults
from benchmarks.experiments import sets
from nearfar.algorithms.algorithm import make_algorithm, presets
from nearfar.core.device import multiplies_bfloat16
from nearfar.core.errors import CollapsedError
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import compare
from nearfar.experiments.reproduction.ablation import AblatedPIA, PartialAlignment
from nearfar.kernels.sparse import WeightedRows, row_product
from nearfar.train.run import Precision
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.posterior import Draw
from nearfar.vae.priors.normal import Normal
from nearfar.vae.priors.prior import PriorNetwork
from nearfar.vae.step import Step, Term
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Progress, Weight

METRICS = ("NDCG@100", "Recall@20")
PROMISING = 0.003
"""Gain in NDCG@100 over the plain training above which a reading gets another seed."""

PRECISION: Precision = "bfloat16" if multiplies_bfloat16() else "float32"
"""bfloat16 is slower than float32 on a CPU without instructions for it."""

VALIDATION_SEED, TEST_SEED = 12345, 98765
FREQUENT = "citeulike-a-15"
"""citeulike-a with the articles of at least 15 users, at a quarter of the cost of all articles."""

PUBLISHED = {
    "likelihood": "none", "initialiser": "xavier", "schedule": "constant", "patience": 0,
    "batch_size": 250, "learning_rate": 1e-3, "richer": False,
}  # fmt: skip
RECVAE_PARTS = {
    "encoder": "dense", "decoder_hidden": [], "prior": "composite", "patience": 0,
    "beta": "per_interaction", "likelihood": "none", "richer": False,
}  # fmt: skip
"""Settings that make Mult-VAE a RecVAE with a single optimiser."""

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "multvae": ("multvae", {
        **PUBLISHED, "epochs": 60, "beta": {"kind": "linear_anneal", "end": 0.2, "epochs": 30},
    }),
    "default": ("multvae", {"richer": False}),
    "soft": ("multvae", {"richer": False}),
    "hvamp": ("hvamp", presets("hvamp")["ml-1m"]),
    "recvae": ("recvae", {"likelihood": "none", "epochs": 10}),
    "joint": ("multvae", {**RECVAE_PARTS, "epochs": 40, "learning_rate": 1.5e-3}),
    "joint-200": ("multvae", {**PUBLISHED, **RECVAE_PARTS, "epochs": 200, "learning_rate": 5e-4}),
}  # fmt: skip
RECIPES["iaf"] = ("multvae", {**RECIPES["multvae"][1], "encoder": "iaf"})


@dataclass(frozen=True)
class Ramp(Weight):
    """A weight that is 0 for the share `late` of the epochs, then grows linearly to `end`.

    Args:
        end: final weight.
        late: share of the epochs with weight 0.
        ramp: share of the epochs over which the weight grows.
    """

    end: float = 1.0
    late: float = 0.0
    ramp: float = 0.0

    def __call__(self, progress: Progress, /) -> float:
        share = progress.step / (progress.n_epochs * progress.n_steps) - self.late
        if share < 0:
            return 0.0
        return self.end * min(1.0, share / self.ramp) if self.ramp else self.end


@dataclass(frozen=True)
class OncePerInteraction(Weight):
    """A weight that is multiplied by a user's interactions over their mean."""

    by_interactions: ClassVar[bool] = True

    inner: Weight = field(default_factory=ConstantWeight)
    mean_interactions: float = 1.0

    def __call__(self, progress: Progress, /) -> float:
        return self.inner(progress) / self.mean_interactions


@dataclass(frozen=True)
class Reading(AblatedPIA):
    """PIA with the choices that the text leaves open; other arguments are those of `AblatedPIA`.

    Args:
        at: what is pulled to the anchors: the posterior (Proposition 3.1) or the sampled z.
        unit: whether anchors are directions times one learned length, initially 1.
        late: `late` of `Ramp`, which replaces Algorithm 1.
        ramp: `ramp` of `Ramp`, which replaces Algorithm 1.
        mean_interactions: mean interactions per user; above 0, lambda_A counts once per
            interaction.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {
        "at": "posterior", "unit": False, "late": 0.0, "ramp": 0.0, "mean_interactions": 0.0,
    }  # fmt: skip

    at: Literal["posterior", "z"] = "posterior"
    unit: bool = False
    late: float = 0.0
    ramp: float = 0.0
    mean_interactions: float = 0.0

    def schedule(self, default: float) -> Weight:
        end = default if self.weight is None else self.weight
        weight: Weight = PlateauGrowth(end, self.patience, self.scale)
        if self.late or self.ramp:
            weight = Ramp(end, self.late, self.ramp)
        if self.mean_interactions:
            return OncePerInteraction(weight, self.mean_interactions)
        return weight

    def term(self, catalogue: TrainingCounts, n_latent: int, rng: torch.Generator) -> Term:
        if self.at == "posterior" and not self.unit:
            return super().term(catalogue, n_latent, rng)
        return OtherAlignment(catalogue.n_items, n_latent, self.anchor_std, rng, self)


class OtherAlignment(PartialAlignment):
    """A(x) at the sampled z, or with anchors of the same length."""

    def __init__(
        self, n_items: int, n_latent: int, std: float, rng: torch.Generator, reading: Reading
    ) -> None:
        super().__init__(n_items, n_latent, std, rng)
        self.reading = reading
        if reading.unit:  # a plain parameter, whose gradient passes through the normalisation
            self.anchors = nn.Parameter(self.anchors.detach().clone())
        self.length = nn.Parameter(torch.ones(()))

    def table(self) -> Float[Tensor, "items latent"]:
        if not self.reading.unit:
            return self.anchors
        return self.length * nn.functional.normalize(self.anchors, dim=1)

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, table = step.histories, self.table()
        shares = self._shares(rows)
        centroid = row_product(table, rows, shares)
        squares = row_product(table.square().sum(1, keepdim=True), rows, shares)[:, 0]
        spread = squares - centroid.square().sum(1)
        if self.reading.at == "z":
            return (step.z - centroid).square().sum(1) + spread
        drift = (step.posterior.mu - centroid).square().sum(1)
        return drift + step.posterior.variance.sum(1) + spread


@dataclass(frozen=True, eq=False)
class DrawBefore(Draw):
    """The draw z_0, which is decoded and aligned; `after` is the flow's z_T, for the KL only."""

    after: Draw | None = None


@dataclass(frozen=True)
class FlowForKL(IAF):
    """An IAF encoder whose z_0 is decoded."""

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> EncoderNetwork:
        network = super().build(n_items, n_latent, rng)
        draw_after_flow = network.draw

        def draw(history: WeightedRows, noise: Float[Tensor, "users latent"] | None) -> Draw:
            after = draw_after_flow(history, noise)
            before = after.posterior.draw(noise)
            return DrawBefore(before.posterior, before.noise, before.z, after=after)

        network.draw = draw
        return network


@dataclass(frozen=True)
class AfterFlow(Normal):
    """The prior N(0, I) of the z_T of a `FlowForKL`."""

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        network = super().build(n_items, n_latent, rng)
        inner = network.kl

        def kl(step: Step) -> Float[Tensor, " users"]:
            assert isinstance(step.draw, DrawBefore)
            assert step.draw.after is not None
            return inner(replace(step, draw=step.draw.after))

        network.kl = kl
        return network


RECIPES["iaf-0"] = (
    "multvae", {**RECIPES["multvae"][1], "encoder": FlowForKL(), "prior": AfterFlow()}
)  # fmt: skip

WEIGHTS: dict[str, tuple[float, ...]] = {
    "multvae": (1.0, 0.3), "default": (0.3, 0.1, 0.03), "soft": (0.1,), "hvamp": (1.0, 3.0),
    "recvae": (0.03,), "joint": (0.03, 0.1), "joint-200": (0.03,), "iaf": (1.0,), "iaf-0": (1.0,),
}  # fmt: skip
"""Recipe -> values of lambda_A; the other readings use the first."""

READINGS: dict[str, dict[str, Any]] = {
    "ramp": {"ramp": 0.5}, "late": {"late": 0.5}, "per interaction": {"mean_interactions": 1.0},
    "at z": {"at": "z"}, "unit anchors": {"unit": True},
    "inverse popularity": {"inverse_popularity": True}, "drift": {"parts": "drift"},
}  # fmt: skip
SOME_READINGS: dict[str, tuple[str, ...]] = {
    "default": (),
    "iaf": ("at z",),
    "iaf-0": (),
    "joint-200": (),
}
"""Recipes with only some of the readings."""


def rows(recipe: str) -> dict[str, Reading | None]:
    """Return the rows of a recipe: plain, Algorithm 1, the readings, and other weights."""
    first, *others = WEIGHTS[recipe]
    readings = SOME_READINGS.get(recipe, tuple(READINGS))
    return {
        "plain": None,
        f"lambda_A {first:g}": Reading(first),
        **{name: Reading(first, **READINGS[name]) for name in readings},
        **{f"lambda_A {w:g}": Reading(w) for w in others},
    }


@cache
def split_of(name: str) -> nf.Split:
    """Return the split of a data set; of SET@test the one whose test users are measured."""
    data, _, test = name.partition("@")
    seed = TEST_SEED if test else VALIDATION_SEED
    if data != FREQUENT:
        return defaults._split(data, seed)
    frame = pl.read_parquet(defaults.SHARED / "citeulike-a.parquet").select("user", "item")
    log = nf.read_log(frame, filters=nf.Filters(min_user=5, min_item=15))
    return nf.split_strong(log, 0.1, seed=seed)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A training's numbers for the record, and its evaluation, or None if it collapsed."""

    numbers: dict[str, Any]
    evaluation: Evaluation | None


@cache
def fitted(name: str, recipe: str, row: str, seed: int) -> Fitted:
    """Train and measure a row of a recipe on a data set."""
    split, reading = split_of(name), rows(recipe)[row]
    algorithm: Any = make_algorithm(*RECIPES[recipe])
    if reading is not None:
        if reading.mean_interactions:
            mean = split.train.n_interactions / split.train.n_users
            reading = replace(reading, mean_interactions=mean)
        algorithm = replace(algorithm, alignment=reading)
    run = nf.Run(seed=seed, device="cpu", precision=PRECISION)
    started = time.process_time()
    model, error = None, None
    try:
        model = algorithm.fit(split.train, split.validation, run=run)
    except CollapsedError as collapse:
        error = str(collapse)
    records = run.history.records
    scores = [r.validation[METRICS[0]] for r in records]
    best = records[int(np.argmax(scores))]
    numbers = {
        "seed": seed, "precision": PRECISION, "best": max(scores),
        "best_epoch": best.epoch + 1, "epochs": len(scores),
        "last": scores[-1], "cpu_seconds": round(time.process_time() - started, 1),
        "weight": [r.weights.get("alignment") for r in (records[0], best, records[-1])],
        "terms": {k: round(float(v), 4) for k, v in best.terms.items()},
        **({"collapsed": error} if error else {}),
    }  # fmt: skip
    print(name, recipe, row, seed, f"{max(scores):.4f} {numbers['cpu_seconds']} s", flush=True)
    if model is None:
        return Fitted(numbers, None)
    users = split.test if name.endswith("@test") else split.validation
    return Fitted(numbers, nf.evaluate(model, users, list(METRICS)))


def gain(a: list[Fitted], b: list[Fitted], metric: str) -> dict[str, Any] | None:
    """Return the gain of the trainings `b` over `a`, with each user's mean over the seeds."""
    pairs = [(x.evaluation, y.evaluation) for x, y in zip(a, b, strict=False)]
    pairs = [(x, y) for x, y in pairs if x is not None and y is not None]
    if not pairs:
        return None
    mean_a, mean_b = (mean_of([pair[i] for pair in pairs]) for i in (0, 1))
    comparison = compare(mean_a, mean_b, metric).to_dict()
    keys = ("n_users", "mean_a", "mean_b", "difference", "low", "high", "p")
    by_seed = [float((y.values(metric) - x.values(metric)).mean()) for x, y in pairs]
    return {**{key: comparison[key] for key in keys}, "by_seed": by_seed}


def mean_of(evaluations: list[Evaluation]) -> Evaluation:
    """Return the first evaluation with every user's mean over all of them."""
    first = evaluations[0]
    means = {m: np.mean([e.per_user[m] for e in evaluations], 0) for m in first.per_user}
    return replace(first, per_user=means)


def measure(name: str, before: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """Train the rows that the record lacks, and yield the entry after each row."""
    data, recipe, *only = name.split("/")
    reference = next(n for n in rows(recipe) if n != "plain")
    requested = [n for n in rows(recipe) if not only or n in ("plain", reference, *only)]
    entry: dict[str, Any] = {"rows": dict(before["rows"]) if before else {}}
    missing = [row for row in requested if row not in entry["rows"]]
    seeds = dict.fromkeys(missing, 1)
    if not missing:
        seeds = {row: len(entry["rows"][row]["trainings"]) + 1 for row in requested
                 if row in ("plain", reference) or _promising(entry["rows"][row])}  # fmt: skip
    for row, n in seeds.items():
        trained = [fitted(data, recipe, row, seed) for seed in range(n)]
        plain, aligned = (
            [fitted(data, recipe, r, seed) for seed in range(n)] for r in ("plain", reference)
        )
        result: dict[str, Any] = {"trainings": [t.numbers for t in trained]}
        if row != "plain":
            result["over_plain"] = {m: gain(plain, trained, m) for m in METRICS}
        if row not in ("plain", reference):
            result["over_" + reference] = {m: gain(aligned, trained, m) for m in METRICS}
        entry["rows"][row] = result
        yield entry


def _promising(row: dict[str, Any]) -> bool:
    gain_over_plain = row.get("over_plain", {}).get(METRICS[0])
    return gain_over_plain is not None and gain_over_plain["difference"] > PROMISING


if __name__ == "__main__":
    names = [f"{data}/{recipe}" for data in ("lastfm", "ml-1m", FREQUENT) for recipe in RECIPES]
    sets.run(measure, names, __file__, __doc__)
