"""Find plug-ins by name: a plug-in's name is that of the module with its class.

`find("nearfar.algorithms", Algorithm, "ease")` returns the Algorithm in
`nearfar/algorithms/ease.py`; a third party's class has a dotted path
(`their_package.their_module.TheirClass`). If a module has several classes, their names are the
class names in snake case: `Dropout` is "dropout". There is no list to edit.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar

from nearfar.core.errors import SettingsError, UnknownNameError, near_hint

T = TypeVar("T")


def names(package: str) -> list[str]:
    """Return the names of a package's modules, sorted, without private ones."""
    root = importlib.import_module(package)
    return sorted(m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_"))


def classes_in(module: ModuleType, base: type[T]) -> list[type[T]]:
    """Return the concrete subclasses of `base` that a module itself defines."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, base)
        and not inspect.isabstract(value)
        and value is not base
        and value.__module__ == module.__name__
    ]


def find(package: str, base: type[T], name: str) -> type[T]:
    """Return the subclass of `base` with a name: that of a module of `package`, or a dotted path.

    Raises:
        UnknownNameError: the name is unknown.
        SettingsError: a dotted path does not lead to a subclass of `base`.
    """
    key = name.lower().replace("-", "_")
    if key in names(package):
        classes = classes_in(importlib.import_module(f"{package}.{key}"), base)
        if len(classes) == 1:
            return classes[0]
    if "." in name:
        return _by_path(name, base)
    known = discover(package, base)
    if key not in known and name in _local_modules():
        raise SettingsError(
            f"{name!r} is the file {name}.py; name the class in it too, as {name}.MyClass "
            f"({_in_words(base)}s of nearfar: {', '.join(known)})"
        )
    if key not in known:
        raise UnknownNameError(_in_words(base), name, known)
    return known[key]


def _local_modules() -> list[str]:
    """Return the names of the Python files in the current folder."""
    return sorted(path.stem for path in Path().glob("*.py"))


def _in_words(cls: type) -> str:
    """Return a class's name in words: "event source" for EventSource."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()


def _by_path(path: str, base: type[T]) -> type[T]:
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module exists; a module that it imports does not
        hint = near_hint(module_name, _local_modules())
        raise SettingsError(
            f"cannot import {path!r}: {error}; {hint}a file NAME.py is searched for in the current "
            "folder and in Python's module path"
        ) from None
    if not hasattr(module, class_name):
        known = [cls.__name__ for cls in classes_in(module, base)]
        hint = f"; it defines {', '.join(known)}" if known else ""
        raise SettingsError(f"cannot import {path!r}: {module_name} has no {class_name!r}{hint}")
    value = getattr(module, class_name)
    if not (inspect.isclass(value) and issubclass(value, base)):
        raise SettingsError(f"{path!r} is not a {base.__name__}")
    return value


def discover(package: str, base: type[T]) -> dict[str, type[T]]:
    """Return every plug-in of a package by name, sorted."""
    classes = [
        cls
        for module in names(package)
        for cls in classes_in(importlib.import_module(f"{package}.{module}"), base)
    ]
    return dict(sorted((name_of(cls), cls) for cls in classes))


@cache
def name_of(cls: type) -> str:
    """Return the name by which `find` finds a class again; a dotted path for a third party's."""
    if not cls.__module__.startswith("nearfar."):
        return f"{cls.__module__}.{cls.__qualname__}"
    module = sys.modules[cls.__module__]
    bases = [base for base in cls.__mro__[1:] if inspect.isabstract(base)]
    if any(len(classes_in(module, base)) > 1 for base in bases):
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    return cls.__module__.rpartition(".")[2]
