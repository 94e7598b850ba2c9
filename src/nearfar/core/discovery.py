"""Plug-ins are files: a name is the module that holds the one class.

`find("nearfar.algorithms", Algorithm, "ease")` is the Algorithm defined in
`nearfar/algorithms/ease.py`; a third party's is named by its dotted path
(`their_package.their_module.TheirClass`). Several classes in one file are named by their class
names in snake case: `Dropout` is "dropout". There is no list to edit.
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
    """The names of all plug-in modules of a package, sorted; private ones left out."""
    root = importlib.import_module(package)
    return sorted(m.name for m in pkgutil.iter_modules(root.__path__) if not m.name.startswith("_"))


def classes_in(module: ModuleType, base: type[T]) -> list[type[T]]:
    """The concrete subclasses of `base` that `module` itself defines."""
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
    """The subclass of `base` called `name`: a module of `package`, or a dotted path.

    Raises:
        UnknownNameError: nothing is called so.
        SettingsError: a dotted path does not lead to a subclass of `base`.
    """
    key = name.lower().replace("-", "_")
    if key in names(package):
        found = classes_in(importlib.import_module(f"{package}.{key}"), base)
        if len(found) == 1:
            return found[0]
    if "." in name:
        return _by_path(name, base)
    known = discover(package, base)
    if key not in known and name in _modules_here():
        raise SettingsError(
            f"{name!r} is the file {name}.py; name the class in it too, as {name}.MyClass "
            f"({_in_words(base)}s of nearfar: {', '.join(known)})"
        )
    if key not in known:
        raise UnknownNameError(_in_words(base), name, known)
    return known[key]


def _modules_here() -> list[str]:
    """The names of the Python files in the current folder."""
    return sorted(path.stem for path in Path().glob("*.py"))


def _in_words(cls: type) -> str:
    """EventSource: "event source"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", cls.__name__).lower()


def _by_path(path: str, base: type[T]) -> type[T]:
    module_name, _, class_name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; what it imports is not
        hint = near_hint(module_name, _modules_here())
        raise SettingsError(
            f"cannot import {path!r}: {error}; {hint}a file NAME.py is looked for in the current "
            "folder and where Python finds modules"
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
    found = [
        cls
        for module in names(package)
        for cls in classes_in(importlib.import_module(f"{package}.{module}"), base)
    ]
    return dict(sorted((name_of(cls), cls) for cls in found))


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
