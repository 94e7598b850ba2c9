"""What of a version is written beside its bundle, for those who serve it without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable

from nearfar.bundle.exports.export import Export
from nearfar.bundle.exports.onnx import Onnx
from nearfar.core.extras import require


def exports_of(names: Iterable[str]) -> dict[str, Export]:
    """The exports of these names, by the folder of a version that each is written to.

    Raises:
        MissingExtraError: a library is missing that one of them needs; told before a training.
    """
    found: dict[str, Export] = {}
    for name in names:
        require(name, extra=name, purpose=f"exports = [{name!r}]")
        found[name] = Onnx()
    return found
