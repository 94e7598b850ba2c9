"""Rows: which are wanted, and what their algorithms are set to."""

import pytest

from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.experiments.reproduction import row_settings
from nearfar.experiments.reproduction.row_settings import check_overrides, row_algorithm
from nearfar.experiments.reproduction.rows import TABLES, TableRow, named_rows, rows_of
from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.encoders.deeper import Deeper

PRESETS = {
    "ml-1m": {"epochs": 7, "encoder": {"kind": "base", "hidden": [9]}},
    "ml-1m+pia": {"alignment": {"weight": 3.0}},
    "ml-1m+deeper": {"encoder": {"hidden": [5, 5]}},
    "ml-1m+deeper+pia": {"alignment": {"weight": 4.0}},
    "ml-20m": {"epochs": 8},
}


def labelled(table, label: str) -> TableRow:
    return next(row for row in TABLES[table] if row.label == label)


@pytest.fixture
def presets(monkeypatch) -> None:
    monkeypatch.setattr(row_settings, "presets", lambda name: PRESETS)


@pytest.mark.parametrize("table", TABLES)
def test_labels_with_commas_are_told_apart_on_the_command_line(table) -> None:
    """Every label can be given, alone or with others, in any order."""
    labels = [row.label for row in TABLES[table]][::-1]
    assert named_rows(table, ",".join(labels)) == tuple(labels)
    for label in labels:
        assert named_rows(table, f"nothing, {label} ,else") == ("nothing", label, "else")


@pytest.mark.parametrize(
    ("only", "labels"),
    [
        (("ease",), ["EASE"]),
        (("hvamp", "Popularity"), ["Popularity", "H+Vamp", "H+Vamp + PIA"]),
        (("recvae+soft",), ["RecVAE, soft targets"]),
        (("RecVAE, soft targets + PIA",), ["RecVAE, soft targets + PIA"]),
        (("multi-vae",), ["Multi-VAE"]),
        (("Multi-VAE + PIA",), ["Multi-VAE + PIA"]),
        (("recvae+pia",), ["RecVAE + PIA"]),
        (("h+vamp",), ["H+Vamp", "H+Vamp + PIA"]),
    ],
)
def test_rows_are_named_as_people_name_them(only, labels) -> None:
    assert [row.label for row in rows_of("table1", only)] == labels


@pytest.mark.parametrize(
    ("name", "means"),
    [
        ("pia", lambda row: "pia" in row.variants),
        ("multvae", lambda row: row.algorithm == "multvae"),
        ("soft", lambda row: "soft" in row.variants),
    ],
)
def test_a_variant_or_an_algorithm_means_all_its_rows(name, means) -> None:
    assert rows_of("table1", (name,)) == tuple(filter(means, TABLES["table1"]))


def test_an_unknown_row_is_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'recvae'"):
        rows_of("table1", ("recvea",))
    with pytest.raises(SettingsError, match="all three"):
        rows_of("figure2", ("Masking",))


def test_every_aligned_row_has_its_plain_one() -> None:
    for rows in TABLES.values():
        labels = [row.label for row in rows]
        assert len(set(labels)) == len(labels)
        for row in rows:
            compared = row.aligned or bool({"soft", "growth"} & set(row.variants))
            assert (row.plain is not None) == compared
            assert row.plain is None or row.plain in labels


def test_plain_and_aligned_differ_by_the_alignment(presets) -> None:
    plain = row_algorithm(labelled("table1", "Multi-VAE"), ["ml-1m"])
    aligned = row_algorithm(labelled("table1", "Multi-VAE + PIA"), ["ml-1m"])
    assert isinstance(plain, MultVAE)
    assert isinstance(aligned, MultVAE)
    assert (plain.epochs, plain.alignment) == (7, None)
    assert (aligned.epochs, aligned.alignment) == (7, PIA(weight=3.0))


def test_what_makes_the_row_replaces_what_the_data_set_says(presets) -> None:
    made = row_algorithm(labelled("table6", "Deeper encoder + PIA"), ["ml-1m"])
    assert isinstance(made, MultVAE)
    assert made.encoder == Deeper(hidden=(5, 5))
    assert made.alignment == PIA(weight=4.0)
    clean = row_algorithm(labelled("figure2", "Clean input"), ["ml-1m"])
    assert isinstance(clean, MultVAE)
    assert clean.corruption == Clean()


def test_without_a_section_the_next_name_is_taken_then_the_defaults(presets) -> None:
    row = labelled("table1", "Multi-VAE + PIA")
    made = row_algorithm(row, ["netflix", "ml-20m"])
    assert isinstance(made, MultVAE)
    assert (made.epochs, made.alignment) == (8, PIA())
    assert row_algorithm(row, ["gowalla"]) == MultVAE(alignment=PIA(), richer=False)


def test_own_settings_come_last(presets) -> None:
    own = {"multvae": {"epochs": 2}, "multvae+pia": {"epochs": 3, "alignment": {"scale": 1.5}}}
    plain = row_algorithm(labelled("table1", "Multi-VAE"), ["ml-1m"], own)
    aligned = row_algorithm(labelled("table1", "Multi-VAE + PIA"), ["ml-1m"], own)
    assert isinstance(plain, MultVAE)
    assert isinstance(aligned, MultVAE)
    assert (plain.epochs, aligned.epochs) == (2, 3)
    assert aligned.alignment == PIA(weight=3.0, scale=1.5)


def test_own_settings_that_nothing_takes_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'multvae'"):
        check_overrides({"multva": {"epochs": 2}}, TABLES["table1"])
    check_overrides({"multvae+pia": {}, "ease": {}}, TABLES["table1"])


def test_a_row_without_presets_has_the_defaults(monkeypatch) -> None:
    monkeypatch.setattr(row_settings, "presets", lambda name: {})
    assert row_algorithm(labelled("table1", "EASE"), ["ml-1m"]) == EASE()
