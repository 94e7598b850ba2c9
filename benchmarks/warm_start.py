"""Epochs that a weekly training saves by starting from last week's weights.

    python -m benchmarks.warm_start [--users 20000] [--seeds 5]

In a simulated shop, the catalogue grows each week by one item per taste. A version is trained on
the window up to a day and published, then another on the window a week later, once with new weights
(fresh) and once from the published ones (warm). The table has the epochs to 95 and 99.5 % of the
fresh training's best validation NDCG@100, by seed. The best of more noisy epochs is higher by
chance, so 95 % is the more reliable target.
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import timedelta
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.jobs.pipeline import make_pipeline
from nearfar.jobs.publish import publish
from nearfar.jobs.registry import Registry
from nearfar.jobs.template import write_shop
from nearfar.jobs.train_weekly import train_weekly

SHARES = (0.95, 0.995)


def course(folder: Path, version: str) -> list[float]:
    """Return the validation NDCG@100 of a version by epoch."""
    bundle = Registry(folder / "registry").bundle(version)
    return [record["validation"]["NDCG@100"] for record in bundle.metadata.training]


def measure(folder: Path, last, seed: int) -> dict:
    """Return the scores by epoch of a fresh and a warm training, a week after the first version."""
    courses = {}
    for name, warm in (("fresh", False), ("warm", True)):
        root = folder / f"{name}-{seed}"
        root.mkdir()
        (root / "events").symlink_to(folder / "events")
        settings = {
            "source": {"kind": "parquet", "path": "events"},
            "sink": {"kind": "parquet", "path": "recommendations"},
            "algorithm": {
                "kind": "multvae", "epochs": 40, "batch_size": 250, "learning_rate": 1e-3,
                "n_latent": 64, "encoder": {"kind": "base", "hidden": [256]},
                "decoder_hidden": [256], "patience": 6,
                "beta": {"kind": "constant", "value": 0.2},
            },
            "train": {"held_out": 0.1, "seed": seed, "warm_start": warm},
        }  # fmt: skip
        pipeline = make_pipeline(settings, root)
        first = train_weekly(pipeline, last - timedelta(days=7)).version.name
        publish(pipeline.registry, first, force=True)
        courses[name] = course(root, train_weekly(pipeline, last).version.name)
    return courses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    table = Table(title="epochs to a share of the fresh training's best")
    for column in ("seed", "share", "fresh", "warm", "best fresh", "best warm"):
        table.add_column(column, justify="right")
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _, last = write_shop(folder / "events", arguments.users)
        for seed in range(arguments.seeds):
            courses = measure(folder, last, seed)
            best = {name: f"{max(course):.4f}" for name, course in courses.items()}
            for share in SHARES:
                goal = share * max(courses["fresh"])
                epochs = {
                    name: next((n for n, value in enumerate(c, 1) if value >= goal), None)
                    for name, c in courses.items()
                }
                rows.append({"seed": seed, "near": share, "epochs": epochs, "courses": courses})
                cells = [str(epochs[name] or "never") for name in ("fresh", "warm")]
                table.add_row(str(seed), f"{share:.1%}", *cells, best["fresh"], best["warm"])
    Console().print(table)
    write_json(arguments.out, {
        "users": arguments.users, "runs": rows, "provenance": provenance(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
