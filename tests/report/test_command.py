"""The command that trains a bundle again gives the same settings, or there is none."""

import shlex
import sys
from dataclasses import replace

import pytest

from nearfar.algorithms.algorithm import make_algorithm, presets
from nearfar.bundle.bundle import BundleMetadata, jsonable
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.report.command import train_command
from tests.report.cases import ALGORITHMS, EVIL_NAME, bundle

VARIED = [
    ("popularity", {}),
    ("ease", {"l2": 33.5}),
    ("multvae", {"encoder": "iaf", "prior": "vamp", "beta": {"kind": "cyclic"}}),
    ("multvae", {"encoder": {"hidden": [30, 20]}}),
    ("multvae", {"corruption": {"kind": "mask", "keep_prob": 0.25}}),
    ("multvae", {"alignment": {"weight": 3.0}, "learning_rate": 1e-05, "noise": False}),
    ("multvae", presets("multvae")["fast"]),
    ("recvae", {"alignment": "pia"}),
    ("hvamp", {}),
    ("wmf", {}),
]  # fmt: skip


def about_of(name: str, values: dict) -> BundleMetadata:
    plain = jsonable(settings.to_plain(make_algorithm(name, values)))
    return BundleMetadata(name, {k: v for k, v in plain.items() if k != "kind"}, seed=4)


@pytest.mark.parametrize(("name", "values"), VARIED)
def test_it_gives_the_settings_back(name: str, values: dict) -> None:
    line = train_command(about_of(name, values), "my split", "out")
    assert line is not None
    words = shlex.split(line)
    assert words[:9] == [
        "nearfar", "train", name, "--data", "my split", "--out", "out", "--seed", "4",
    ]  # fmt: skip
    assert set(words[9::2]) <= {"--set"}
    again = make_algorithm(name, parse_assignments(words[10::2]))
    assert again == make_algorithm(name, values)


def test_only_what_differs_from_the_defaults_is_spelled_out() -> None:
    assert "--set" not in str(train_command(about_of("ease", {}), "d", "o"))
    assert "--seed" not in str(train_command(BundleMetadata("popularity"), "d", "o"))
    aligned = str(train_command(about_of("multvae", {"alignment": "pia"}), "d", "o"))
    assert aligned.endswith("--seed 4 --set alignment=pia")
    metadata = bundle(EVIL_NAME).metadata
    line = train_command(metadata, "d", EVIL_NAME)
    assert line is not None
    assert shlex.split(line)[6] == EVIL_NAME
    assert "epochs=5" in line
    values = parse_assignments(shlex.split(line)[10::2])
    assert make_algorithm("multvae", values) == replace(
        ALGORITHMS[EVIL_NAME], learning_rate=metadata.settings["learning_rate"]
    )


@pytest.mark.parametrize(
    "metadata",
    [
        BundleMetadata("tests.report.hostile.Algorithm"),
        BundleMetadata("multvae", {"corruption": {"kind": "tests.report.hostile.Mask"}}),
        BundleMetadata("multvae", {"initialiser": "tests.report.hostile.Start"}),
    ],
)
def test_nothing_that_a_bundle_names_is_imported(metadata: BundleMetadata) -> None:
    assert train_command(metadata, "d", "o") is None
    assert "tests.report.hostile" not in sys.modules


@pytest.mark.parametrize(
    "metadata",
    [
        BundleMetadata("no_such_algorithm"),
        BundleMetadata("ease", {"no_such_setting": 3}),
        BundleMetadata("ease", {"l2": "much"}),
        BundleMetadata("ease", {"a=b": 1.0}),
    ],
)
def test_what_cannot_be_said_is_not_said(metadata: BundleMetadata) -> None:
    assert train_command(metadata, "d", "o") is None
