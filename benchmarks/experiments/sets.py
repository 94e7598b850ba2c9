"""The command line of experiments on several data sets, and their record on disk."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import provenance
from nearfar.core.files import read_json, write_json

Found = dict[str, Any]
Measure = Callable[[str, Found | None], Found | Iterator[Found]]
"""Of a set's name, and what the record holds of it from an earlier run.

An iterator gives the whole entry again and again, with more in it each time.
"""


def run(measure: Measure, names: Iterable[str], script: str, doc: str | None) -> None:
    """Measure the sets that the command line names, and write the record after each and in between.

    Args:
        measure: returns what was found on a set.
        names: the sets, where `--data` names none.
        script: the path of the experiment; by default its record is a JSON file beside it.
        doc: the experiment's docstring, for `--help`.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default=",".join(names))
    parser.add_argument("--out", type=Path, default=Path(script).with_suffix(".json"))
    arguments = parser.parse_args()
    record = read_json(arguments.out) if arguments.out.exists() else {"sets": []}
    for name in arguments.data.split(","):
        before = next((entry for entry in record["sets"] if entry["data"] == name), None)
        found = measure(name, before)
        for content in [found] if isinstance(found, dict) else found:
            entry = {"data": name, **content, "provenance": provenance()}
            record["sets"] = [e for e in record["sets"] if e["data"] != name] + [entry]
            write_json(arguments.out, record)
