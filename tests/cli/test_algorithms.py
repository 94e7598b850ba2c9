"""`nearfar algorithms`, and what `nearfar train --help` names."""

import json

from nearfar.algorithms.algorithm import names, presets
from nearfar.cli.main import run


def test_all_are_listed_with_their_presets(capsys) -> None:
    assert run(["algorithms"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n{name} " in shown for name in names())


def test_one_is_described_as_json(capsys) -> None:
    assert run(["algorithms", "edlae", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["name"] == "edlae"
    dropout = next(s for s in told["settings"] if s["name"] == "dropout")
    assert dropout["range"] == "at least 0 and below 1"
    assert dropout["default"] == 0.33
    assert set(told["presets"]) == set(presets("edlae"))


def test_a_wrong_name_fails_with_the_nearest(capsys) -> None:
    assert run(["algorithms", "recvea"]) == 1
    assert "did you mean 'recvae'" in capsys.readouterr().err


def test_the_help_of_train_names_every_algorithm_and_preset(capsys) -> None:
    assert run(["train", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    for name in names():
        assert name in words
        assert all(preset in words for preset in presets(name)), name
