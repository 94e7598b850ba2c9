"""Published numbers: as printed, of rows that there are."""

import pytest

from nearfar.core import settings
from nearfar.evaluation.groups import parse_groups
from nearfar.experiments.reproduction.datasets import NAMES, data_set
from nearfar.experiments.reproduction.report import DEFAULT_GROUPS
from nearfar.experiments.reproduction.rows import FILE, TABLES, published
from nearfar.metrics.metric import parse_metric

COLUMNS = ("Recall@20", "Recall@50", "NDCG@100")


@pytest.mark.parametrize(
    ("table", "data", "label", "values"),
    [
        ("table1", "ml-20m", "Popularity", (0.162, 0.235, 0.191)),
        ("table1", "ml-20m", "EASE", (0.391, 0.521, 0.420)),
        ("table1", "ml-20m", "Multi-VAE + PIA", (0.408, 0.546, 0.437)),
        ("table1", "ml-20m", "RecVAE + PIA", (0.417, 0.556, 0.446)),
        ("table1", "ml-20m", "H+Vamp", (0.413, 0.551, 0.445)),
        ("table1", "netflix", "GRALS", (0.335, 0.416, 0.365)),
        ("table1", "netflix", "RaCT", (0.357, 0.450, 0.392)),
        ("table1", "msd", "WARP", (0.162, 0.253, 0.210)),
        ("table1", "msd", "EASE", (0.333, 0.428, 0.389)),
        ("table1", "msd", "EDLAE", (0.334, 0.429, 0.392)),
        ("groups", "ml-20m", "5-10 Multi-VAE", (0.461, 0.625, 0.317)),
        ("groups", "ml-20m", "101- Multi-VAE + PIA", (0.435, 0.393, 0.486)),
        ("table6", "ml-20m", "Deeper encoder", (0.400, 0.538, 0.427)),
        ("table6", "ml-20m", "Shallow (IAF) encoder + PIA", (0.406, 0.545, 0.437)),
    ],
)
def test_values_are_those_of_the_paper(table, data, label, values) -> None:
    found = published(table, data)
    assert tuple(found.value(label, parse_metric(m)) for m in COLUMNS) == values


def test_gowalla_has_the_numbers_of_its_followers() -> None:
    found = published("table1", "gowalla")
    metrics = data_set("gowalla").metrics
    assert [found.value("EASE", m) for m in metrics] == [0.1765, 0.1467]
    assert [found.value("Multi-VAE", m) for m in metrics] == [0.1641, 0.1335]
    assert found.beyond(["EASE", "Multi-VAE"]) == ["LightGCN", "GF-CF", "BSPM"]


def test_standard_errors_of_ml_20m() -> None:
    errors = published("table1", "ml-20m").standard_errors
    assert errors == {"Recall@20": 0.0027, "Recall@50": 0.0028, "NDCG@100": 0.0021}


def test_nothing_is_published_of_other_data() -> None:
    assert not published("table1", "ml-1m").rows
    assert not published("figure2", "ml-20m").rows


def test_every_row_of_the_paper_is_a_row_here_and_has_its_metrics() -> None:
    for table, by_data in settings.read_toml(FILE).items():
        labels = {row.label for row in TABLES[table]}
        if table == "groups":
            groups = parse_groups(",".join(map(str, DEFAULT_GROUPS)))
            labels = {f"{group} {label}" for group in groups for label in labels}
        for data, found in by_data.items():
            assert data in NAMES
            assert set(found.get("rows", {})) <= labels
            assert found["metrics"] == [str(m) for m in data_set(data).metrics]


def test_table_1_is_complete_for_the_three_large_sets() -> None:
    labels = {row.label for row in TABLES["table1"] if not row.extra}
    for data in ("ml-20m", "netflix", "msd"):
        assert labels <= set(published("table1", data).rows)
