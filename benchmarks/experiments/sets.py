"""The command line of experiments on several data sets, and their record."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import provenance
from nearfar.core.files import read_json, write_json

Entry = dict[str, Any]
Measure = Callable[[str, Entry | None], Entry | Iterator[Entry]]
"""Takes the name of a data set and its entry of an earlier run; returns its new entry.

An iterator yields the whole entry repeatedly, as it grows.
"""


def run(measure: Measure, names: Iterable[str], script: str, doc: str | None) -> None:
    """Measure the data sets of the command line, and write the record after each entry.

    Args:
        measure: measures a data set.
        names: the data sets if `--data` is not given.
        script: path of the experiment; by default its record is a JSON file beside it.
        doc: docstring of the experiment, for `--help`.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=",".join(names), help="comma-separated data sets")
    parser.add_argument("--out", type=Path, default=Path(script).with_suffix(".json"))
    arguments = parser.parse_args()
    record = read_json(arguments.out) if arguments.out.exists() else {"sets": []}
    for name in arguments.data.split(","):
        before = next((entry for entry in record["sets"] if entry["data"] == name), None)
        measured = measure(name, before)
        for values in [measured] if isinstance(measured, dict) else measured:
            entry = {"data": name, **values, "provenance": provenance()}
            record["sets"] = [e for e in record["sets"] if e["data"] != name] + [entry]
            write_json(arguments.out, record)
