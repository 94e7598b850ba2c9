"""A GPU's results and speed against the CPU's results and what the hardware allows: one table.

    python -m benchmarks.gpu [--device cuda|cpu] [--quick] [--out gpu.json]

Results: losses, gradients and rankings of every algorithm against float32 on the CPU, a resumed
run, a bundle from the device read on the CPU, and how often a step waits for the GPU. Speed: users
per second by batch size and precision on MovieLens-20M's shape, the VAE rows of Table 1, 200
epochs, memory, and a profile. Data are synthetic, nothing is fetched. With --quick everything is
small, to see that it runs; with --device cpu the same checks compare the CPU with itself, in each
precision.
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
DRAWS_IN_TERMS = {"Mult-VAE, sampled"}
"""Whose terms draw, from another generator on each device: no loss to compare."""

TABLE_1 = ("Mult-VAE", "Mult-VAE + PIA", "RecVAE", "RecVAE + PIA", "H+Vamp", "H+Vamp + PIA")

ERRORS: dict[Precision, float] = {"ieee": 1e-4, "float32": 1e-2, "bfloat16": 5e-2}
"""Relative error of a loss or a gradient that a precision may have."""

BOUNDS = {500: 1e6, 2048: 2e6, 24_576: 4e6}
"""Users per second that are aimed at on one H200, by batch size. What the hardware allows: 2.5
million at 500 (Adam moves 28 bytes per parameter), 8 at 24,576, 12 where passes are fused."""

EPOCHS_SECONDS = 10.0


@dataclass(frozen=True)
class Row:
    """A line of the table; `bound` is the least or the most that is aimed at."""

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        if self.bound is None:
            return ""
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        return "ok" if met else "MISSED"


def small_data() -> tuple[nf.Interactions, nf.FoldIn]:
    """Training users, and others with a part of their items held out."""
    log = nf.read_log(f"synthetic:{SMALL}")
    split = nf.split_strong(log, HELD_OUT, seed=0)
    return split.train, split.validation


def small(name: str) -> AutoencoderAlgorithm:
    """The algorithm with sizes that a CPU trains in a second."""
    kind, values = ALGORITHMS[name]
    narrow = {"batch_size": 250, "epochs": 2, "n_latent": 32}
    algorithm = make_algorithm(kind, {**values, **narrow})
    assert isinstance(algorithm, AutoencoderAlgorithm)
    return algorithm


def loss_and_gradients(
    parts: Assembly, x: Any, device: torch.device, precision: Precision
) -> tuple[float, list[torch.Tensor]]:
    """The loss without noise of one batch, and its gradients, on the CPU in float64."""
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
    found = [p.grad for m in (network, objective) for p in m.parameters() if p.grad is not None]
    return float(loss.detach()), [g.detach().cpu().double() for g in found]


def agreement(
    device: torch.device, data: tuple[nf.Interactions, nf.FoldIn], names: Sequence[str]
) -> list[Row]:
    """Losses and gradients on the device in each precision, against the CPU's in float32."""
    train, _ = data
    rows = []
    for name in names:
        parts = assemble(small(name), train.x, TrainingCounts(train.item_counts, train.n_users), 0)
        expected, gradients = loss_and_gradients(parts, train.x, torch.device("cpu"), "ieee")
        length = sum(float(g.square().sum()) for g in gradients) ** 0.5
        for precision, most in ERRORS.items():
            loss, found = loss_and_gradients(parts, train.x, device, precision)
            apart = sum(
                float((a - b).square().sum()) for a, b in zip(found, gradients, strict=True)
            )
            error = abs(loss - expected) / abs(expected)
            rows.append(Row(f"{name}, {precision}: loss", error, "relative error", most))
            rows.append(
                Row(f"{name}, {precision}: gradient", apart**0.5 / length, "relative error", most)
            )
    return rows


def models(device: torch.device, data: tuple[nf.Interactions, nf.FoldIn]) -> list[Row]:
    """A bundle from the device read on the CPU, its rankings, and a run that was resumed."""
    train, validation = data
    algorithm, x = small("Mult-VAE + PIA"), validation.fold_in.x
    kind = "cuda" if device.type == "cuda" else "cpu"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        model = algorithm.fit(train, validation, run=nf.Run(device=kind))
        about = describe(algorithm, train, seed=0, protocol={}, metrics={}, history=None)
        save_bundle(Bundle(model, train.item_ids, about), place / "bundle")
        here = load_bundle(place / "bundle").model
        scores, read = model.score(x), here.score(x)
        ranked, same = model.top_k(x, 100), here.top_k(x, 100)
        shared = [
            len(np.intersect1d(a, b)) / len(np.unique(a))
            for a, b in zip(ranked.items, same.items, strict=True)
        ]

        class Stop(nf.Callback):
            def step(self, report: Any) -> None:
                if report.epoch == 1:
                    raise KeyboardInterrupt

        cut = {"device": kind, "folder": place / "run", "checkpoint_epochs": 1}
        with contextlib.suppress(KeyboardInterrupt):
            algorithm.fit(train, validation, run=nf.Run(**cut, callbacks=(Stop(),)))
        again = algorithm.fit(train, validation, run=nf.Run(**cut, resume=True)).score(x)
    scale = float(np.abs(scores).max())
    return [
        Row("bundle read on the CPU: scores", float(np.abs(scores - read).max()) / scale,
            "relative error", 1e-4),
        Row("bundle read on the CPU: best 100", 1 - float(np.mean(shared)), "share apart", 1e-3),
        Row("resumed: scores", float(np.abs(scores - again).max()) / scale, "relative error",
            1e-2 if kind == "cuda" else 0.0),
    ]  # fmt: skip


def training(name: str, x: Any, device: torch.device, **settings: Any) -> Callable[[int], float]:
    """Set a training up; the result takes steps and returns their seconds."""
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
        started, left = time.perf_counter(), n
        with matrix_products(run):
            while left:
                number += 1
                order = generator(0, "order", number).permutation(x.shape[0])
                for rows in feed.batches(
                    order[: left * algorithm.batch_size], algorithm.batch_size
                ):
                    state.take_step(phase, rows)
                    left -= 1
            state.read_terms()
        return time.perf_counter() - started

    return steps


def speed(device: torch.device, x: Any, *, quick: bool) -> list[Row]:
    """Users per second by batch size and precision, and of the VAE rows of Table 1."""
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
    """How often the CPU waits for the GPU in ten steps."""
    if device.type != "cuda":
        return []
    rows = []
    for name in ALGORITHMS:
        steps = training(name, x, device, batch_size=500)
        steps(2)  # reads the terms: the next reading is 50 steps away
        torch.cuda.synchronize()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            steps(10)
            torch.cuda.set_sync_debug_mode("default")
        n = sum("synchroniz" in str(warning.message) for warning in caught)
        allowed = None if name in DRAWS_IN_TERMS else 1  # one reading of the terms at the end
        rows.append(Row(f"waits in ten steps: {name}", n, "", allowed))
    return rows


def long_run(device: torch.device, x: Any, epochs: int) -> list[Row]:
    """Seconds of a whole training of Mult-VAE in batches of 24,576, without validation."""
    batch = min(24_576, x.shape[0])
    steps = training("Mult-VAE", x, device, batch_size=batch)
    steps(1)
    seconds = steps(epochs * -(-x.shape[0] // batch))
    bound = EPOCHS_SECONDS if device.type == "cuda" else None
    return [Row(f"{epochs} epochs of {x.shape[0]:,} users", seconds, "s", bound)]


def memory(device: torch.device) -> Row:
    """Peak memory of all that came before."""
    if device.type == "cuda":
        return Row("peak memory of the GPU", torch.cuda.max_memory_allocated() / 2**20, "MiB")
    return Row("peak memory", peak_mib(), "MiB")


def profile(device: torch.device, x: Any, n: int) -> list[dict[str, Any]]:
    """What the steps of Mult-VAE in batches of 500 spend, the dearest operations first."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    steps = training("Mult-VAE", x, device, batch_size=min(500, x.shape[0]))
    steps(2)
    with torch.profiler.profile(activities=activities) as found:
        steps(n)
    key = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = sorted(found.key_averages(), key=lambda e: -getattr(e, key))[:15]
    return [
        {"operation": e.key, "calls_per_step": e.count / n,
         "milliseconds_per_step": getattr(e, key) / 1000 / n}
        for e in events
    ]  # fmt: skip


def show(rows: list[Row], spent: list[Mapping[str, Any]], title: str) -> None:
    """The table against the bounds, and the profile."""
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
    for line in spent:
        table.add_row(line["operation"][:60], f"{line['calls_per_step']:.1f}",
                      f"{line['milliseconds_per_step']:.3f}")  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--quick", action="store_true", help="small data, few steps")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    if arguments.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(
            "PyTorch sees no CUDA device here, so nothing about a GPU can be measured; "
            "--device cpu --quick shows that the checks run"
        )
    device = torch.device(arguments.device)
    started, quick = time.perf_counter(), arguments.quick
    data = small_data()
    compared = [name for name in ALGORITHMS if name not in DRAWS_IN_TERMS]
    rows = agreement(device, data, compared) + models(device, data)
    x = data[0].x if quick else nf.synthetic_interactions(LARGE).x
    rows += waits(device, x) + speed(device, x, quick=quick)
    rows += long_run(device, x, 2 if quick else 200)
    rows.append(memory(device))
    spent = profile(device, x, 3 if quick else 20)
    about = provenance(device)
    title = f"{about['machine']['device']}, {'quick, ' if quick else ''}{x.shape[1]:,} items"
    show(rows, spent, title)
    seconds = time.perf_counter() - started
    print(f"{seconds:.0f} s; {sum(r.verdict == 'MISSED' for r in rows)} bounds missed")
    results = read_json(arguments.out) if arguments.out.exists() else {}
    results[f"{arguments.device}{', quick' if quick else ''}"] = {
        "rows": [{**asdict(row), "verdict": row.verdict} for row in rows],
        "profile": spent, "seconds": seconds, "provenance": about,
    }  # fmt: skip
    write_json(arguments.out, results)


if __name__ == "__main__":
    main()
