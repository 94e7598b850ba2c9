"""The numbers beside the maps as tables."""

from __future__ import annotations

from typing import Any

from nearfar.evaluation.table import Table
from nearfar.maps.atlas import Atlas

SHOWN_PAIRS = 6
"""Of more pairs of cohorts the nearest are shown."""


def separability_table(atlas: Atlas) -> Table:
    """One row a map: NDCG@100, how far the cohorts are apart, how far the map can be trusted."""
    rows, data = [], []
    for each in atlas.maps:
        numbers = each.numbers
        rows.append(
            (
                each.title,
                "-" if each.ndcg is None else _share(each.ndcg, 4),
                _with_interval(numbers["silhouette"]),
                _with_interval(numbers["knn_purity"]),
                _share(numbers["knn_purity"]["chance"], 3),
                _share(numbers["trustworthiness"]["value"], 3),
            )
        )
        data.append({"map": each.title, **each.to_dict()})
    header = ("map", "NDCG@100", "silhouette", "purity", "chance", "trust")
    return Table(header, tuple(rows), tuple(_notes(atlas)), tuple(data))


def distances_table(atlas: Atlas) -> Table:
    """One row a pair of cohorts, one column a map: how far apart, and in the input.

    A distance is that of the cohorts' means, in units of the spread of users about the mean of
    their cohort, so that maps compare.
    """
    short = {g["name"]: str(g.get("size", g["name"])) for g in atlas.cohorts.about}
    first = atlas.maps[0].numbers["distances"]
    order = [tuple(pair) for pair in first["order"][:SHOWN_PAIRS]]
    rows, data = [], []
    for pair in order:
        cells, values = [], {}
        for each in atlas.maps:
            found = each.numbers["distances"]
            value = _relative(found, pair)
            cells.append("-" if value is None else f"{value:.2f}")
            values[each.title] = value
        hamming = next(p["input"] for p in first["pairs"] if tuple(p["between"]) == pair)
        rows.append((f"{short[pair[0]]} to {short[pair[1]]}", *cells, f"{hamming:.1f}"))
        data.append({"between": list(pair), "relative": values, "input": hamming})
    notes = [
        "distance of the cohorts' means over the spread of users about them; input: mean Hamming "
        "distance of their users."
    ]
    if len(first["order"]) > SHOWN_PAIRS:
        notes.append(f"the {SHOWN_PAIRS} nearest of {len(first['order'])} pairs.")
    notes += [
        f"{each.title}: not in the order of the cohorts' sizes."
        for each in atlas.maps
        if each.numbers["distances"]["by_size"] is False
    ]
    header = ("cohorts", *(m.title for m in atlas.maps), "input")
    return Table(header, tuple(rows), tuple(notes), tuple(data))


def _relative(found: dict[str, Any], pair: tuple[str, ...]) -> float | None:
    distance = next(p["latent"] for p in found["pairs"] if tuple(p["between"]) == pair)
    spread = sum(found["spreads"][name] for name in pair) / 2
    return distance / spread if spread > 0 else None


def _notes(atlas: Atlas) -> list[str]:
    numbers = atlas.maps[0].numbers
    k, sampled = numbers["knn_purity"]["k"], numbers["silhouette"]["n_sampled"]
    notes = [
        "silhouette: 1 where cohorts are far apart, 0 where they are mixed.",
        f"purity: share of the {k} nearest users that are of the same cohort, and by chance.",
        "both in the latent space, ± half the 95% interval.",
        "trust: how far neighbours on the map are so in the latent space, at most 1.",
    ]
    if sampled < atlas.cohorts.n_users:
        notes.append(f"measured on samples of {sampled:,} users.")
    for each in atlas.maps:
        found, left_out = each.numbers["anchors"], each.numbers["anchors_left_out"]
        if left_out is not None:
            notes.append(f"{each.title}: {left_out}.")
        if found is not None:
            notes.append(
                f"{each.title}: {_share(found['nearest_with_item'], 2)} of the {found['k']} users "
                f"nearest to an anchor have its item, of all users "
                f"{_share(found['users_with_item'], 2)}."
            )
    return notes


def _share(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _with_interval(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return "-"
    text = _share(found["mean"], 3)
    return text if found["low"] is None else f"{text} ±{_share(found['high'] - found['mean'], 3)}"
