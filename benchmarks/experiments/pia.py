"""What the paper's text allows for PIA, each variant on validation users.

    python -m benchmarks.experiments.pia --data FOLDER --queue FILE --results FILE

The queue has a line per training: SET ALGORITHM REGIME ALIGNMENT SEED, such as
"lastfm recvae published w=.01,term=drift 0"; "lastfm@test" is the test users of another split. A
line that is in the results already is skipped.
Trainings run one after the other, until the queue's last line is "end".

REGIME: `published` is the published loss, start and rate with a long training; `loss` has the
library's defaults but the published loss; `default` has the defaults, soft targets included.
ALIGNMENT: `plain`, or settings from
  w: lambda_A (a cap where it ramps)      p, s: patience and scale of Algorithm 1 (p=0: fixed)
  term: pia | drift | variance | spread | z | unit | rows | rare
  ramp, late: shares of the epochs
  per: lambda_A counts once per interaction, with the same mean weight
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import torch
from torch import Tensor, nn

import nearfar as nf
from benchmarks.experiments.soft_targets import HELD_OUT, read
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm, presets
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.errors import CollapsedError
from nearfar.core.seeding import derive
from nearfar.train.phase import Phase
from nearfar.vae.encoders.iaf import IAF, _IAFNetwork
from nearfar.vae.likelihoods.likelihood import Catalogue
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.posterior import Draw
from nearfar.vae.sparse import mean_of_rows, row_product
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.terms.kl import KL
from nearfar.vae.terms.term import Step
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Progress, Weight

VALIDATION_SEED = 12345
TEST_SEED = 98765
SHARES = {**HELD_OUT, "lastfm": 0.1}

FREQUENT = "citeulike-a-15"
"""citeulike-a, the articles that at least 15 users have: a quarter of the cost of all of them."""

PUBLISHED = {"likelihood": "none", "start": "xavier", "schedule": "constant", "patience": 0}
REGIMES: dict[tuple[str, str], dict[str, Any]] = {
    ("multvae", "published"): {
        **PUBLISHED, "epochs": 100, "batch_size": 250, "learning_rate": 1e-3,
        "beta": {"kind": "linear_anneal", "end": 0.2, "epochs": 50},
    },
    ("multvae", "short"): {
        **PUBLISHED, "epochs": 40, "batch_size": 100, "learning_rate": 1e-3,
        "beta": {"kind": "linear_anneal", "end": 0.2, "epochs": 20},
    },
    ("multvae", "loss"): {"likelihood": "none"},
    ("multvae", "default"): {},
    ("recvae", "published"): {
        **PUBLISHED, "epochs": 40, "batch_size": 250, "learning_rate": 5e-4,
    },
    ("recvae", "loss"): {"likelihood": "none", "epochs": 20},
    ("recvae", "default"): {"epochs": 20},
    ("hvamp", "loss"): presets("hvamp")["ml-1m"],
    ("hvamp", "default"): {
        **presets("hvamp")["ml-1m"], "likelihood": {"kind": "multinomial", "background": 1.0},
    },
    ("hvamp", "published"): {**presets("hvamp")["ml-1m"], "start": "xavier"},
}  # fmt: skip
for _regime in ("published", "loss", "default"):
    REGIMES["joint", _regime] = REGIMES["recvae", _regime]
    REGIMES["iaf", _regime] = {**REGIMES["multvae", _regime], "encoder": {"kind": "iaf"}}
    REGIMES["iaf0", _regime] = REGIMES["iaf", _regime]
    REGIMES["deeper", _regime] = {**REGIMES["multvae", _regime], "encoder": {"kind": "deeper"}}
CLASSES = {"joint": "recvae", "iaf": "multvae", "iaf0": "multvae", "deeper": "multvae"}


@dataclass(frozen=True)
class Ramp(Weight):
    """0 up to the share `late` of the epochs, then a straight line to `end` over `ramp` of them."""

    end: float
    late: float = 0.0
    ramp: float = 0.0

    def __call__(self, progress: Progress, /) -> float:
        share = progress.step / (progress.n_epochs * progress.n_steps) - self.late
        if share < 0:
            return 0.0
        return self.end * min(1.0, share / self.ramp) if self.ramp else self.end


class PerUser:
    """Any weight, counted once per interaction."""

    by_interactions: ClassVar[bool] = True

    def __init__(self, weight: Weight, mean: float) -> None:
        self.weight, self.mean = weight, mean

    def __call__(self, progress: Progress, /) -> float:
        return self.weight(progress) / self.mean


class Variant(nn.Module):
    """A(x) with the pieces that the text leaves open; anchors get dense gradients."""

    def __init__(self, kind: str, catalogue: Catalogue, n_latent: int, seed: int) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(derive(seed, "anchors"))
        self.kind = kind
        self.anchors = nn.Parameter(torch.empty(catalogue.n_items, n_latent))
        nn.init.normal_(self.anchors, std=0.01, generator=rng)
        self.length = nn.Parameter(torch.ones(()))
        counts = torch.from_numpy(np.asarray(catalogue.item_counts)).float().clamp(min=1)
        self.register_buffer("rare", 1 / counts)

    def table(self, step: Step) -> Tensor:
        if self.kind == "unit":
            return self.length * nn.functional.normalize(self.anchors, dim=1)
        if self.kind == "rows":
            return self.length * step.output.weight.detach()
        return self.anchors

    def forward(self, step: Step, /) -> Tensor:
        posterior, rows = step.posterior, step.histories
        variance = posterior.variance.sum(1)
        if self.kind == "variance":
            return variance
        table = self.table(step)
        if self.kind == "rare":
            own = self.rare[rows.indices]
            sums = torch.zeros(rows.n_users).index_add(0, rows.users, own)
            values = own / sums[rows.users]
            centroid = row_product(table, rows, values)
            squares = row_product(table.square().sum(1, keepdim=True), rows, values)[:, 0]
        else:
            centroid = mean_of_rows(rows, table)
            squares = mean_of_rows(rows, table.square().sum(1, keepdim=True))[:, 0]
        spread = squares - centroid.square().sum(1)
        at = step.z if self.kind == "z" else posterior.mu
        drift = (at - centroid).square().sum(1)
        if self.kind == "drift":
            return drift
        if self.kind == "spread":
            return drift + spread
        return drift + spread if self.kind == "z" else drift + variance + spread


class DrawBefore(Draw):
    """z_0 is decoded and aligned; the flow's z_T is for the KL alone."""

    after: Draw


def _flow_for_kl(network: Any, history: Any, noise: Any) -> Draw:
    after = _IAFNetwork.draw(network, history, noise)
    start = after.posterior.draw(noise)
    draw = DrawBefore(start.posterior, start.noise, start.z, None)
    object.__setattr__(draw, "after", after)
    return draw


class KLAfter(KL):
    def __call__(self, step: Step, /) -> Tensor:
        return self.prior.kl(replace(step, draw=step.draw.after))


def parse(text: str) -> dict[str, Any]:
    if text == "plain":
        return {}
    pairs = dict(part.split("=") for part in text.split(","))
    return {k: v if k == "term" else float(v) for k, v in pairs.items()}


def weight_of(spec: dict[str, Any], mean: float) -> Any:
    if "ramp" in spec or "late" in spec:
        weight: Any = Ramp(spec["w"], spec.get("late", 0.0), spec.get("ramp", 0.0))
    elif int(spec.get("p", 5)) == 0:
        weight = Constant(spec["w"])
    else:
        weight = PlateauGrowth(spec["w"], int(spec.get("p", 5)), spec.get("s", 1.2))
    return PerUser(weight, mean) if spec.get("per") else weight


def algorithm_of(name: str, regime: str, spec: dict[str, Any], mean: float) -> Any:
    """The algorithm, with its objective and plan as the variant has them."""
    base = make_algorithm(CLASSES.get(name, name), REGIMES[name, regime])
    assert isinstance(base, AutoencoderAlgorithm)

    class Prototype(type(base)):
        def objective(self, catalogue: Catalogue, seed: int) -> Objective:
            whole = super().objective(catalogue, seed)
            addends = dict(whole.addends)
            if name == "iaf0":
                addends["kl"] = Addend(KLAfter(addends["kl"].term.prior), addends["kl"].weight)
            if spec:
                n_latent = self.architecture(catalogue.n_items).n_latent
                kind = spec.get("term", "pia")
                if kind == "pia":
                    rng = torch.Generator().manual_seed(derive(seed, "anchors"))
                    term: Any = Alignment(catalogue.n_items, n_latent, 0.01, rng)
                else:
                    term = Variant(kind, catalogue, n_latent, seed)
                addends["alignment"] = Addend(term, weight_of(spec, mean))
            return Objective(addends, whole.prior)

        def plan(self, catalogue: Catalogue | None = None) -> Any:
            plan = super().plan(catalogue)
            if name != "joint":
                return plan
            # as many passes over the users; one Adam moves everything
            passes = self.encoder_passes + self.decoder_passes
            return replace(plan, phases=(Phase(renews_prior=True, passes=passes),))

    return Prototype(**{f.name: getattr(base, f.name) for f in fields(base)})


def run_one(split: Any, line: str) -> dict[str, Any]:
    data, name, regime, alignment, seed = line.split()
    spec = parse(alignment)
    mean = split.train.x.nnz / split.train.n_users
    algorithm = algorithm_of(name, regime, spec, mean)
    run = nf.Run(seed=int(seed), device="cpu", precision="bfloat16")
    started = time.perf_counter()
    if name == "iaf0":
        type.__setattr__(IAF, "build", _build_before)
    try:
        model = algorithm.fit(split.train, split.validation, run=run)
    except CollapsedError as error:
        best = max(r.validation["NDCG@100"] for r in run.history.records)
        return {"line": line, "collapsed": str(error), "best": best}
    finally:
        type.__setattr__(IAF, "build", BUILD)
    records = run.history.records
    scores = [r.validation["NDCG@100"] for r in records]
    best, last = records[int(np.argmax(scores))], records[-1]
    users = split.test if data.endswith("@test") else split.validation
    found = nf.evaluate(model, users)
    return {
        "line": line,
        "best": max(scores), "best_epoch": int(np.argmax(scores)) + 1, "epochs": len(scores),
        "last": scores[-1], "seconds": round(time.perf_counter() - started, 1),
        "weight": [r.weights.get("alignment") for r in (records[0], best, last)],
        "terms": {k: round(float(v), 4) for k, v in best.terms.items()},
        "users": {str(m): np.round(v, 5).tolist() for m, v in found.per_user.items()},
        "sizes": (found.n_fold_in + found.n_held_out).tolist(),
    }  # fmt: skip


BUILD = IAF.build


class _Before(_IAFNetwork):
    def draw(self, history: Any, noise: Any) -> Draw:
        if noise is None:
            return self(history).draw(None)
        return _flow_for_kl(self, history, noise)


def _build_before(self: IAF, n_items: int, n_latent: int, rng: torch.Generator) -> Any:
    return _Before(self.before.build(n_items, n_latent, rng), self, n_latent, rng)


def frequent(folder: Path) -> Any:
    frame = pl.read_parquet(folder / "citeulike-a.parquet")
    user, item = frame.columns[:2]
    frame = frame.select(pl.col(user).alias("user"), pl.col(item).alias("item"))
    return nf.read_log(frame, filters=nf.Filters(min_user=5, min_item=15))


def lines(queue: Path) -> Iterator[str]:
    """The queue's lines as they come, until "end"."""
    done = 0
    while True:
        found = [t.strip() for t in queue.read_text().splitlines() if t.strip()]
        if done < len(found):
            done += 1
            if found[done - 1] == "end":
                return
            yield found[done - 1]
        else:
            time.sleep(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--queue", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True)
    arguments = parser.parse_args()
    known = arguments.results.read_text().splitlines() if arguments.results.exists() else []
    done = {json.loads(text)["line"] for text in known}
    splits: dict[str, Any] = {}
    where = provenance()
    for line in lines(arguments.queue):
        if line in done:
            continue
        name = line.split()[0]
        if name not in splits:
            data, _, test = name.partition("@")
            share, seed = (HELD_OUT, TEST_SEED) if test else (SHARES, VALIDATION_SEED)
            log = frequent(arguments.data) if data == FREQUENT else read(data, arguments.data)
            splits = {name: nf.split_strong(log, share.get(data, 0.1), seed=seed)}
        result = run_one(splits[name], line)
        done.add(line)
        with arguments.results.open("a") as file:
            file.write(json.dumps({**result, "commit": where.get("commit")}) + "\n")
        print(line, f"{result['best']:.4f}", result.get("seconds"), flush=True)


if __name__ == "__main__":
    main()
