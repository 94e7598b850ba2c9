"""A GPU's results against the CPU's, and its speed against what the hardware allows: one table.

    python -m benchmarks.gpu [--device cuda|cpu] [--quick] [--out gpu.json]

Results: losses and gradients of every algorithm against float32 on the CPU, a resumed run, scores
and rankings of a bundle from the device that the CPU reads, and how often a step waits for the GPU.
Speed: users per second by batch size and precision on MovieLens-20M's shape, the VAE rows of Table
1, 200 epochs, memory, and a profile. The data are synthetic; nothing is downloaded. --quick runs
all checks on small data. --device cpu compares the CPU with itself in each precision.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import nearfar as nf
from benchmarks.peers.protocol import peak_mib
from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.autoencoding import Assembly, AutoencoderAlgorithm, assemble
from nearfar.bundle.bundle import Bundle, describe
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.core.files import read_json, write_json
from nearfar.core.seeding import generator
from nearfar.experiments.provenance import provenance
from nearfar.train.feed import Feed
from nearfar.train.run import Precision, matrix_products
from nearfar.train.state import TrainingState
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.neighbours import Neighbourhoods
from nearfar.vae.weights.weight import Progress

SMALL = "2000x800x60000"
LARGE = "ml-20m"
HELD_OUT = 200

ALGORITHMS: dict[str, tuple[str, dict[str, Any]]] = {
    "Mult-VAE": ("multvae", preset("multvae", "published")),
    "Mult-VAE, soft targets": (
        "multvae",
        {"likelihood": {"kind": "multinomial", "background": 0.3}},
    ),
    "Mult-VAE + PIA": ("multvae", {"alignment": "pia"}),
    "Mult-VAE, sampled": ("multvae", {"likelihood": "sampled", "optimiser": "lazy_adam"}),
    "Mult-DAE": ("multdae", {}),
    "RecVAE": ("recvae", {}),
    "RecVAE + PIA": ("recvae", {"alignment": "pia"}),
    "H+Vamp": ("hvamp", {}),
    "H+Vamp + PIA": ("hvamp", {"alignment": "pia"}),
    "CDAE": ("cdae", {}),
}
SAMPLED_TERMS = {"Mult-VAE, sampled"}
"""Algorithms whose terms sample with a generator per device, so their losses differ."""

TABLE_1 = ("Mult-VAE", "Mult-VAE + PIA", "RecVAE", "RecVAE + PIA", "H+Vamp", "H+Vamp + PIA")

ERRORS: dict[Precision, float] = {"ieee": 1e-4, "float32": 1e-2, "bfloat16": 5e-2}
"""Largest relative error of a loss or a gradient, by precision."""

BOUNDS = {500: 1e6, 2048: 2e6, 24_576: 4e6}
"""Target users per second on one H200, by batch size. The hardware allows 2.5 million at 500 (Adam
moves 28 bytes per parameter), 8 million at 24,576, and 12 million with fused passes."""

EPOCHS_SECONDS = 10.0
"""Target seconds of the 200 epochs on one H200."""


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Args:
        name: what is measured.
        value: the measurement.
        unit: its unit.
        bound: its target, or None.
        at_least: whether the target is a lower bound.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        within = self.value >= self.bound if self.at_least else self.value <= self.bound
        return "ok" if within else "MISSED"


def small_data() -> tuple[nf.Interactions, nf.FoldIn]:
    """Return training users, and validation users with held-out items."""
    log = nf.read_log(f"synthetic:{SMALL}")
    split = nf.split_strong(log, HELD_OUT, seed=0)
    return split.train, split.validation


def small(name: str) -> AutoencoderAlgorithm:
    """Return the algorithm with sizes that a CPU trains in a second."""
    kind, values = ALGORITHMS[name]
    sizes = {"batch_size": 250, "epochs": 2, "n_latent": 32}
    algorithm = make_algorithm(kind, {**values, **sizes})
    assert isinstance(algorithm, AutoencoderAlgorithm)
    return algorithm


def loss_and_gradients(
    parts: Assembly, x: Any, device: torch.device, precision: Precision
) -> tuple[float, list[torch.Tensor]]:
    """Return the loss of one batch without noise, and its gradients in float64 on the CPU."""
    parts = deepcopy(parts)
    network, objective = parts.model.network.to(device).train(), parts.objective.to(device)
    if objective.prior is not None:
        objective.prior.renew(network.encoder)
    network.decoder.out.workspace.dtype = torch.bfloat16 if precision == "bfloat16" else None
    run = nf.Run(device="cuda" if device.type == "cuda" else "cpu", precision=precision)
    with matrix_products(run):
        users = np.arange(min(250, x.shape[0]))
        rows = next(Feed(x, device).batches(users, len(users)))
        rng = torch.Generator(device).manual_seed(0)
        step = network.training_step(rows, rng, corrupt=False, noise=False)
        weights = objective.weights(Progress(step=10_000, n_steps=4, n_epochs=10_000))
        loss, _ = objective(step, weights)
        loss.backward()
    gradients = [p.grad for m in (network, objective) for p in m.parameters() if p.grad is not None]
    return float(loss.detach()), [g.detach().cpu().double() for g in gradients]


def agreement(
    device: torch.device, data: tuple[nf.Interactions, nf.FoldIn], names: Sequence[str]
) -> list[Row]:
    """Compare losses and gradients on the device, in each precision, with the CPU's in float32."""
    train, _ = data
    rows = []
    for name in names:
        parts = assemble(small(name), train.x, TrainingCounts(train.item_counts, train.n_users), 0)
        expected, gradients = loss_and_gradients(parts, train.x, torch.device("cpu"), "ieee")
        length = sum(float(g.square().sum()) for g in gradients) ** 0.5
        for precision, bound in ERRORS.items():
            loss, on_device = loss_and_gradients(parts, train.x, device, precision)
            squared_error = sum(
                float((a - b).square().sum()) for a, b in zip(on_device, gradients, strict=True)
            )
            error = abs(loss - expected) / abs(expected)
            rows.append(Row(f"{name}, {precision}: loss", error, "relative error", bound))
            gradient_error = squared_error**0.5 / length
            rows.append(
                Row(f"{name}, {precision}: gradient", gradient_error, "relative error", bound)
            )
    return rows


def models(device: torch.device, data: tuple[nf.Interactions, nf.FoldIn]) -> list[Row]:
    """Compare a model with its bundle read on the CPU, and with the model of a resumed run."""
    train, validation = data
    algorithm, x = small("Mult-VAE + PIA"), validation.fold_in.x
    kind = "cuda" if device.type == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = algorithm.fit(train, validation, run=nf.Run(device=kind))
        description = describe(algorithm, train, seed=0, protocol={}, metrics={}, history=None)
        save_bundle(Bundle(model, train.item_ids, description), root / "bundle")
        cpu_model = load_bundle(root / "bundle").model
        scores, cpu_scores = model.score(x), cpu_model.score(x)
        ranking, cpu_ranking = model.top_k(x, 100), cpu_model.top_k(x, 100)
        shared = [
            len(np.intersect1d(a, b)) / len(np.unique(a))
            for a, b in zip(ranking.items, cpu_ranking.items, strict=True)
        ]

        class Stop(nf.Callback):
            def step(self, report: Any) -> None:
                if report.epoch == 1:
                    raise KeyboardInterrupt

        options = {"device": kind, "folder": root / "run", "checkpoint_epochs": 1}
        with contextlib.suppress(KeyboardInterrupt):
            algorithm.fit(train, validation, run=nf.Run(**options, callbacks=(Stop(),)))
        resumed_scores = algorithm.fit(train, validation, run=nf.Run(**options, resume=True)).score(
            x
        )
    scale = float(np.abs(scores).max())
    return [
        Row("bundle read on the CPU: scores", float(np.abs(scores - cpu_scores).max()) / scale,
            "relative error", 1e-4),
        Row("bundle read on the CPU: best 100", 1 - float(np.mean(shared)), "share apart", 1e-3),
        Row("resumed: scores", float(np.abs(scores - resumed_scores).max()) / scale,
            "relative error", 1e-2 if kind == "cuda" else 0.0),
    ]  # fmt: skip


def training(name: str, x: Any, device: torch.device, **settings: Any) -> Callable[[int], float]:
    """Set a training up and return a function that takes n steps and returns their seconds."""
    kind, values = ALGORITHMS[name]
    precision = settings.pop("precision", "float32")
    algorithm = make_algorithm(kind, {**values, **settings})
    assert isinstance(algorithm, AutoencoderAlgorithm)
    counts = np.bincount(x.indices, minlength=x.shape[1])
    parts = assemble(algorithm, x, TrainingCounts(counts, x.shape[0]), 0)
    run = nf.Run(device="cuda" if device.type == "cuda" else "cpu", precision=precision)
    near = Neighbourhoods.of(x, np.arange(x.shape[0]), 0, device)
    state = TrainingState(
        parts.model.network, parts.objective, parts.plan, run, {}, x.shape[0], near
    )
    feed = Feed(x, device, present_items=parts.plan.optimiser != "adam")
    phase = parts.plan.passes(0)[0]
    number = 0

    def steps(n: int) -> float:
        nonlocal number
        started, n_left = time.perf_counter(), n
        with matrix_products(run):
            while n_left:
                number += 1
                order = generator(0, "order", number).permutation(x.shape[0])
                for rows in feed.batches(
                    order[: n_left * algorithm.batch_size], algorithm.batch_size
                ):
                    state.take_step(phase, rows)
                    n_left -= 1
            state.read_terms()
        return time.perf_counter() - started

    return steps


def speed(device: torch.device, x: Any, *, quick: bool) -> list[Row]:
    """Measure users per second by batch size and precision, and for the VAE rows of Table 1."""
    rows = []
    n = 3 if quick else 100
    for batch in (100, 500) if quick else BOUNDS:
        for precision in ERRORS:
            steps = training("Mult-VAE", x, device, batch_size=batch, precision=precision)
            steps(2)
            rate = n * batch / steps(n)
            bound = BOUNDS.get(batch) if device.type == "cuda" and precision != "ieee" else None
            rows.append(Row(f"batches of {batch:,}, {precision}", rate, "users/s", bound, True))
            del steps
    for name in TABLE_1:
        steps = training(name, x, device, batch_size=100 if quick else 500)
        steps(1)
        rate = n * (100 if quick else 500) / steps(n)
        rows.append(Row(f"Table 1: {name}", rate, "users/s"))
    return rows


def waits(device: torch.device, x: Any) -> list[Row]:
    """Count how often the CPU waits for the GPU in ten steps."""
    if device.type != "cuda":
        return []
    rows = []
    for name in ALGORITHMS:
        steps = training(name, x, device, batch_size=500)
        steps(2)  # reads the terms, which are next read after 50 steps
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            steps(10)
            torch.cuda.set_sync_debug_mode("default")
        n = sum("synchroniz" in str(warning.message) for warning in caught)
        bound = None if name in SAMPLED_TERMS else 1  # one reading of the terms at the end
        rows.append(Row(f"waits in ten steps: {name}", n, "", bound))
    return rows


def long_run(device: torch.device, x: Any, epochs: int) -> list[Row]:
    """Measure a training of Mult-VAE in batches of 24,576, without validation."""
    batch = min(24_576, x.shape[0])
    steps = training("Mult-VAE", x, device, batch_size=batch)
    steps(1)
    seconds = steps(epochs * -(-x.shape[0] // batch))
    bound = EPOCHS_SECONDS if device.type == "cuda" else None
    return [Row(f"{epochs} epochs of {x.shape[0]:,} users", seconds, "s", bound)]


def memory(device: torch.device) -> Row:
    """Return the peak memory of the process so far."""
    if device.type == "cuda":
        return Row("peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**20, "MiB")
    return Row("peak memory", peak_mib(), "MiB")


def profile(device: torch.device, x: Any, n: int) -> list[dict[str, Any]]:
    """Return the time per step by operation, of Mult-VAE in batches of 500, slowest first."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    steps = training("Mult-VAE", x, device, batch_size=min(500, x.shape[0]))
    steps(2)
    with torch.profiler.profile(activities=activities) as profiler:
        steps(n)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(profiler.key_averages(), key=lambda e: -getattr(e, key))[:15]
    return [
        {"operation": e.key, "calls_per_step": e.count / n,
         "milliseconds_per_step": getattr(e, key) / 1000 / n}
        for e in events
    ]  # fmt: skip


def show(rows: list[Row], operations: list[Mapping[str, Any]], title: str) -> None:
    """Print the table with the bounds, and the profile."""
    table = Table(title=title)
    for column in ("", "value", "unit", "bound", ""):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    for row in rows:
        sign = "" if row.bound is None else ">= " if row.at_least else "<= "
        bound = "" if row.bound is None else f"{sign}{row.bound:,.4g}"
        value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
        table.add_row(row.name, value, row.unit, bound, row.verdict)
    console = Console(width=110)
    console.print(table)
    table = Table(title="a step of 500 users, by operation")
    for column in ("operation", "calls", "ms"):
        table.add_column(column)
    for operation in operations:
        table.add_row(operation["operation"][:60], f"{operation['calls_per_step']:.1f}",
                      f"{operation['milliseconds_per_step']:.3f}")  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="small data and few steps, to check that everything runs",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "PyTorch finds no CUDA device, so no GPU can be measured; "
            "check that the benchmark runs with --device cpu --quick"
        )
    device = torch.device(arguments.device)
    started, quick = time.perf_counter(), arguments.quick
    data = small_data()
    compared = [name for name in ALGORITHMS if name not in SAMPLED_TERMS]
    rows = agreement(device, data, compared) + models(device, data)
    x = data[0].x if quick else nf.synthetic_interactions(LARGE).x
    rows += waits(device, x) + speed(device, x, quick=quick)
    rows += long_run(device, x, 2 if quick else 200)
    rows.append(memory(device))
    operations = profile(device, x, 3 if quick else 20)
    source = provenance(device)
    title = f"{source['machine']['device']}, {'quick, ' if quick else ''}{x.shape[1]:,} items"
    show(rows, operations, title)
    seconds = time.perf_counter() - started
    print(f"{seconds:.0f} s; {sum(r.verdict == 'MISSED' for r in rows)} bounds missed")
    results = read_json(arguments.out) if arguments.out.exists() else {}
    results[f"{arguments.device}{', quick' if quick else ''}"] = {
        "rows": [{**asdict(row), "verdict": row.verdict} for row in rows],
        "profile": operations, "seconds": seconds, "provenance": source,
    }  # fmt: skip
    write_json(arguments.out, results)


if __name__ == "__main__":
    main()
