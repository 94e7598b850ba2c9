"""Tables of the measures of maps."""

from __future__ import annotations

from typing import Any

from nearfar.evaluation.table import Table
from nearfar.maps.atlas import Atlas

MAX_PAIRS = 6
"""Most pairs of cohorts in a table, the nearest ones."""


def separability_table(atlas: Atlas) -> Table:
    """Return a table with one row per map: NDCG@100, separability and trustworthiness."""
    rows, data = [], []
    for latent_map in atlas.maps:
        numbers = latent_map.numbers
        rows.append(
            (
                latent_map.title,
                "-" if latent_map.ndcg is None else _share(latent_map.ndcg, 4),
                _with_interval(numbers["silhouette"]),
                _with_interval(numbers["knn_purity"]),
                _share(numbers["knn_purity"]["chance"], 3),
                _share(numbers["trustworthiness"]["value"], 3),
            )
        )
        data.append({"map": latent_map.title, **latent_map.to_dict()})
    header = ("map", "NDCG@100", "silhouette", "purity", "chance", "trust")
    return Table(header, tuple(rows), tuple(_notes(atlas)), tuple(data))


def distances_table(atlas: Atlas) -> Table:
    """Return a table with one row per pair of cohorts: its distance on each map and in the input.

    A distance is that of the cohorts' means divided by the spread of users about the mean of their
    cohort, so that maps are comparable.
    """
    short = {g["name"]: str(g.get("size", g["name"])) for g in atlas.cohorts.groups}
    first = atlas.maps[0].numbers["distances"]
    order = [tuple(pair) for pair in first["order"][:MAX_PAIRS]]
    rows, data = [], []
    for pair in order:
        cells, values = [], {}
        for latent_map in atlas.maps:
            distances = latent_map.numbers["distances"]
            value = _relative(distances, pair)
            cells.append("-" if value is None else f"{value:.2f}")
            values[latent_map.title] = value
        hamming = next(p["input"] for p in first["pairs"] if tuple(p["between"]) == pair)
        rows.append((f"{short[pair[0]]} to {short[pair[1]]}", *cells, f"{hamming:.1f}"))
        data.append({"between": list(pair), "relative": values, "input": hamming})
    notes = [
        "distance of the cohorts' means over the spread of users about them; input: mean Hamming "
        "distance of their users."
    ]
    if len(first["order"]) > MAX_PAIRS:
        notes.append(f"the {MAX_PAIRS} nearest of {len(first['order'])} pairs.")
    notes += [
        f"{latent_map.title}: not in the order of the cohorts' sizes."
        for latent_map in atlas.maps
        if latent_map.numbers["distances"]["by_size"] is False
    ]
    header = ("cohorts", *(m.title for m in atlas.maps), "input")
    return Table(header, tuple(rows), tuple(notes), tuple(data))


def _relative(distances: dict[str, Any], pair: tuple[str, ...]) -> float | None:
    distance = next(p["latent"] for p in distances["pairs"] if tuple(p["between"]) == pair)
    spread = sum(distances["spreads"][name] for name in pair) / 2
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
    for latent_map in atlas.maps:
        anchors, left_out = latent_map.numbers["anchors"], latent_map.numbers["anchors_left_out"]
        if left_out is not None:
            notes.append(f"{latent_map.title}: {left_out}.")
        if anchors is not None:
            notes.append(
                f"{latent_map.title}: {_share(anchors['nearest_with_item'], 2)} of the "
                f"{anchors['k']} users nearest to an anchor have its item, of all users "
                f"{_share(anchors['users_with_item'], 2)}."
            )
    return notes


def _share(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _with_interval(measure: dict[str, Any]) -> str:
    if measure["mean"] is None:
        return "-"
    text = _share(measure["mean"], 3)
    return (
        text
        if measure["low"] is None
        else f"{text} ±{_share(measure['high'] - measure['mean'], 3)}"
    )
