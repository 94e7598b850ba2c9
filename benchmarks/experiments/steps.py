"""Does the sharing radius predict which users a step helps? Over training, with and without PIA.

    python -m benchmarks.experiments.steps LOG [--seeds 3] [--set epochs=30] [--out steps.json]

Mult-VAE with masked input, plain and aligned, on one split per seed. At the epochs of `EPOCHS`,
`Steps` takes SGD steps of the decoder on a sample of training users and measures the loss of all
others. Test users are not used. The results are in docs/theory.md.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm, assemble, identity
from nearfar.bundle.bundle import jsonable
from nearfar.core.assignments import parse_assignments
from nearfar.core.files import atomic_file, read_json, write_json
from nearfar.core.seeding import generator
from nearfar.data.interactions import Interactions
from nearfar.evaluation.intervals import mean_interval
from nearfar.experiments.reproduction.datasets import data_set
from nearfar.experiments.reproduction.study_splits import Splits
from nearfar.theory.instruments.steps import Steps
from nearfar.theory.subject import Subject
from nearfar.train.loop import train
from nearfar.train.run import Run
from nearfar.vae.likelihoods.likelihood import TrainingCounts

MODELS: dict[str, dict[str, Any]] = {
    "masked": {},
    "masked, PIA": {"alignment": {"kind": "pia", "weight": 1.0, "patience": 0}},
}
EPOCHS = (0, 1, 3, 10, 30)
N_USERS = 50


def measure(users: Interactions, values: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Return the numbers of `Steps` and its curve, one record per epoch of `EPOCHS`."""
    algorithm = make_algorithm("multvae", values).resolved(users)
    assert isinstance(algorithm, AutoencoderAlgorithm)
    parts = assemble(algorithm, users.x, TrainingCounts(users.item_counts, users.n_users), seed)
    with_items = np.flatnonzero(np.diff(users.x.indptr))
    n = min(N_USERS, len(with_items))
    x = users.x[np.sort(generator(seed, "steps").choice(with_items, n, replace=False))]
    records: list[dict[str, Any]] = []
    epoch = 0

    def add_record() -> None:
        subject = Subject(parts.model, x, np.zeros(n, int), ("all",), n_sharing=n, seed=seed,
                          algorithm=algorithm)  # fmt: skip
        finding = Steps().measure(subject)
        numbers = {number.key: number.value for number in finding.numbers}
        curve = finding.curves[0]
        records.append(jsonable({"epoch": epoch, **numbers, "by_tenth": curve.y}))

    def after_epoch() -> dict[str, float]:
        nonlocal epoch
        epoch += 1
        if epoch in EPOCHS:
            add_record()
        return {"epoch": float(epoch)}

    parts.model.network.eval()
    add_record()
    train(
        parts.model.network, parts.objective, parts.plan, users.x, validate=after_epoch,
        run=Run(seed=seed, device="cpu"), identity=identity(algorithm, users, None),
    )  # fmt: skip
    return records


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means over seeds with 95% intervals, by model and epoch."""
    rows = []
    for model in MODELS:
        by_seed = [run["records"] for run in runs if run["model"] == model]
        for records in zip(*by_seed, strict=True):
            row: dict[str, Any] = {"model": model, "epoch": records[0]["epoch"]}
            for key in (k for k in records[0] if k not in ("epoch", "by_tenth")):
                values = np.array([r[key] for r in records], dtype=np.float64)
                values = values[np.isfinite(values)]
                interval = mean_interval(values) if len(values) > 1 else None
                row[key] = {
                    "mean": float(values.mean()) if len(values) else None,
                    "half_width": None if interval is None else interval.half_width,
                }
            curves = [r["by_tenth"] for r in records if len(r["by_tenth"]) == 10]
            row["by_tenth"] = np.mean(curves, 0).tolist() if curves else []
            rows.append(row)
    return rows


def draw(summaries: list[dict[str, Any]], path: Path) -> None:
    """Draw the share of losses lowered by tenth of W2 after the last epoch, and AUC by epoch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for model in MODELS:
        rows = [row for row in summaries if row["model"] == model]
        left.plot(range(1, 11), [100 * v for v in rows[-1]["by_tenth"]], "o-", label=model)
        auc = [row["auc"] for row in rows]
        right.errorbar([row["epoch"] for row in rows], [100 * a["mean"] for a in auc],
                       [100 * (a["half_width"] or 0) for a in auc], marker="o",
                       label=model)  # fmt: skip
    left.set(xlabel="W2, tenths of the pairs, nearest first", ylabel="losses lowered, %",
             title="Whose loss does a step lower?")  # fmt: skip
    right.set(xlabel="epoch", ylabel="AUC, %", title="Does the W2 distance predict help?")
    right.axhline(50, color="0.6", lw=1)
    for axis in (left, right):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False)
    with atomic_file(path) as file:
        canvas.print_png(file)


def main() -> None:
    """Measure the models that the record lacks, and write it after each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="a log, or the name of a data set")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument(
        "--set", action="append", default=[], help="a setting of multvae, as epochs=30"
    )
    parser.add_argument(
        "--splits", type=Path, default=Path("reproduction/splits"), help="folder of splits"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("steps.json"))
    arguments = parser.parse_args()
    values = parse_assignments(arguments.set)
    splits = Splits(data_set(arguments.log), arguments.splits, print)
    splits.prepare(range(arguments.seeds))
    record = read_json(arguments.out) if arguments.out.exists() else {"runs": []}
    for seed in range(arguments.seeds):
        split = splits.load(seed)
        for model, model_settings in MODELS.items():
            if any((run["seed"], run["model"]) == (seed, model) for run in record["runs"]):
                continue
            started = time.perf_counter()
            records = measure(split.train, {**values, **model_settings}, seed)
            record["runs"].append({
                "model": model, "seed": seed, "settings": {**values, **model_settings},
                "training_users": split.train.fingerprint, "records": records,
                "seconds": round(time.perf_counter() - started, 1), "provenance": provenance(),
            })  # fmt: skip
            write_json(arguments.out, record)
            print(f"{model}, seed {seed}: {records[-1]}", flush=True)
    record["summary"] = summary(record["runs"])
    write_json(arguments.out, record)
    draw(record["summary"], arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
