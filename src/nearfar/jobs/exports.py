"""What of a version is written beside its bundle, for those who serve it without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

from nearfar.bundle.exports.export import Export
from nearfar.bundle.exports.onnx import Onnx
from nearfar.core.errors import MissingExtraError


def exports_of(names: Iterable[str]) -> dict[str, Export]:
    """The exports of these names, by the folder of a version that each is written to.

    Raises:
        MissingExtraError: a library is missing that one of them needs; told before a training.
    """
    found: dict[str, Export] = {}
    for name in names:
        if find_spec(name) is None:
            raise MissingExtraError(name, name, f"exports = [{name!r}]")
        found[name] = Onnx()
    return found
