"""Settings as TOML text, only as much of it as settings need."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any


def settings_toml(values: Mapping[str, Any]) -> str:
    """A line a setting; tables are inline, so that the lines can stand under any heading."""
    return "".join(f"{_key(key)} = {_text(value)}\n" for key, value in values.items())


def beyond_defaults(plain: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are not the defaults; of a part of another kind all of them."""
    result = {}
    for key, value in plain.items():
        default = defaults.get(key)
        if value == default:
            continue
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            kind = {"kind": value["kind"]} if "kind" in value else {}
            same = value.get("kind") == default.get("kind")
            value = kind | (beyond_defaults(value, default) if same else dict(value))
        result[key] = value
    return result


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)


def _text(value: Any) -> str:
    if value is None:
        return '"none"'
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(k)} = {_text(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
