"""Peak resident memory of loading, training and scoring, and how it grows with the data.

    python -m benchmarks.memory [--only nearfar,recbole]

Each measurement is a separate process that loads synthetic data, trains four steps of 500 users
(I-600-200-600-I) and recommends 100 items to 2,000 users. The baseline is the interpreter with
PyTorch imported. From MovieLens-20M's shape, one of users, items and interactions is doubled.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

import nearfar as nf
from benchmarks.contest import Side, all_sides, started
from benchmarks.machine import provenance
from nearfar.core.files import write_json

BASE = (116_677, 20_108, 8_500_000)
GROWTH = {
    "MovieLens-20M's shape": BASE,
    "twice the users": (2 * BASE[0], BASE[1], BASE[2]),
    "twice the interactions": (BASE[0], BASE[1], 2 * BASE[2]),
    "twice the items": (BASE[0], 2 * BASE[1], BASE[2]),
}
BASELINE = """
import torch
from pathlib import Path
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(t.split()[1]) / 1024 for t in lines if t.startswith("VmHWM:")))
"""


def peaks(shape: tuple[int, int, int], sides: list) -> tuple[dict[str, dict[str, float]], dict]:
    """Return each side's peak MiB after loading, training and scoring; and sizes and failures."""
    x = nf.synthetic_interactions(nf.Synthetic(*shape)).x
    peak: dict[str, dict[str, float]] = {}
    failed: dict[str, str] = {}
    for side in sides:  # one at a time: together they might not fit in memory
        with started([side], x, batch_size=500) as (alive, absent):
            failed |= absent
            for name, peer in alive.items():
                peak[name] = {"loaded": peer.ask("memory")["peak_mib"]}
                peer.ask("steps", n=4, timeout=1800)
                peak[name]["trained"] = peer.ask("memory")["peak_mib"]
                peer.ask("recommend", k=100, n_users=2000, timeout=1800)
                peak[name]["scored"] = peer.ask("memory")["peak_mib"]
    return peak, {"csr_mib": (x.indices.nbytes + x.indptr.nbytes) / 2**20, "failed": failed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="comma-separated sides")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    only = arguments.only.split(",") if arguments.only else None
    process = subprocess.run(
        [sys.executable, "-c", BASELINE], capture_output=True, text=True, check=True
    )
    baseline = float(process.stdout)
    result: dict = {"baseline_mib": baseline, "shapes": {}, "provenance": provenance()}
    table = Table(title=f"peak MiB above the interpreter with PyTorch ({baseline:.0f} MiB)")
    for column in ("", "users", "items", "interactions", "CSR", "side", "load", "train", "score"):
        table.add_column(column, justify="left" if column in ("", "side") else "right")
    for title, shape in GROWTH.items():
        sides = all_sides(["nearfar"], only) if shape == BASE else [Side("nearfar")]
        by_side, sizes = peaks(shape, [s for s in sides if s.name != "floor"])
        result["shapes"][title] = {"shape": shape, "sides": by_side, **sizes}
        write_json(arguments.out, result)
        for name, peak in by_side.items():
            above = [f"{peak[k] - baseline:,.0f}" for k in ("loaded", "trained", "scored")]
            counts = [f"{n:,}" for n in shape]
            table.add_row(title, *counts, f"{sizes['csr_mib']:.0f}", name, *above)
            title = ""
    Console(width=130).print(table)


if __name__ == "__main__":
    main()
