"""The settings that the training data decided."""

from __future__ import annotations

import dataclasses
from typing import Any, cast

from nearfar.algorithms.algorithm import Algorithm, settings_left_to_data


def filled_in(before: Algorithm, after: Algorithm) -> dict[str, Any]:
    """Return the values that `resolved` filled in, by name; those of a part as "parts[0].l2".

    Args:
        before: the algorithm before `resolved`.
        after: the algorithm that `before.resolved(train)` returned.
    """
    unset = settings_left_to_data(before)
    filled = {name: getattr(after, name) for name in unset if getattr(after, name) is not None}
    for field in dataclasses.fields(cast("Any", before)):
        value = getattr(before, field.name)
        for i, part in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(part, Algorithm):
                inner = filled_in(part, getattr(after, field.name)[i])
                filled |= {f"{field.name}[{i}].{name}": v for name, v in inner.items()}
    return filled
