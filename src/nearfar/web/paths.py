"""Ids in paths: any text, with slashes and line breaks too."""

from __future__ import annotations

from starlette.convertors import CONVERTOR_TYPES, PathConvertor


class AnyId(PathConvertor):
    """Takes an id that holds "/", sent as it is or as %2F, or a line break."""

    regex = r"(?s:.+)"


CONVERTOR_TYPES["id"] = AnyId()


def with_id(path: str, name: str) -> str:
    """Return a route's path whose parameter takes any id."""
    return path.replace(f"{{{name}}}", f"{{{name}:id}}")
