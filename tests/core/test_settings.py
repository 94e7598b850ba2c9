"""Settings from plain values and back; errors name the key."""

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.warp import WARP
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.jobs.pipeline_sections import TrainSection
from nearfar.vae.corruption.corruption import Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.weights.constant import ConstantWeight


def test_plain_values_become_nested_settings() -> None:
    made = settings.build(
        MultVAE,
        {
            "epochs": 3,
            "learning_rate": 1,
            "decoder_hidden": [50, 60],
            "corruption": {"kind": "mask", "keep_prob": 0.25},
            "beta": {"kind": "constant", "value": 0.1},
            "alignment": {"weight": 2},
        },
    )
    assert made == MultVAE(
        epochs=3,
        learning_rate=1.0,
        decoder_hidden=(50, 60),
        corruption=Mask(0.25),
        beta=ConstantWeight(0.1),
        alignment=PIA(weight=2.0),
    )


def test_a_name_alone_takes_the_defaults() -> None:
    made = settings.build(MultVAE, {"corruption": "mask", "alignment": "pia"})
    assert made == MultVAE(corruption=Mask(), alignment=PIA())


@pytest.mark.parametrize("nothing", [None, "none"])
def test_an_optional_setting_can_be_none(nothing) -> None:
    assert settings.build(MultVAE, {"alignment": nothing}).alignment is None


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epoch": 3}, "'epoch'; did you mean 'epochs'"),
        ({"alignment": {"wieght": 3}}, "alignment.wieght'; did you mean 'alignment.weight'"),
        ({"corruption": "maks"}, "unknown corruption 'maks'; did you mean 'mask'"),
        ({"epochs": "many"}, "epochs is 'many'; int was expected"),
        ({"epochs": 2.5}, "epochs is 2.5; int was expected"),
        ({"epochs": True}, "epochs is True; int was expected"),
        ({"learning_rate": float("nan")}, "learning_rate is nan; a finite number"),
        ({"decoder_hidden": 600}, "decoder_hidden is 600; a list was expected"),
        ({"decoder_hidden": ["a"]}, r"decoder_hidden\[0\] is 'a'"),
        ({"alignment": {"kind": "pai"}}, "unknown alignment 'pai'"),
        ({"corruption": {"kind": "mask", "keep_prob": 0}}, "keep_prob is 0"),
    ],
)
def test_what_is_wrong_is_named(values, told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        settings.build(MultVAE, values)


def test_none_is_a_word_where_it_is_one_of_the_choices() -> None:
    assert settings.build(TrainSection, {"weights": "none"}).weights == "none"
    assert settings.build(TrainSection, {"kind_weights": "none"}).kind_weights is None


def test_plain_and_back() -> None:
    original = MultVAE(alignment=PIA(weight=3.0), corruption=Mask(0.3), beta=ConstantWeight(0.7))
    plain = settings.to_plain(original)
    assert plain.pop("kind") == "multvae"
    assert plain["corruption"] == {"kind": "mask", "keep_prob": 0.3}
    assert settings.build(MultVAE, plain) == original


def test_assignments_are_read_as_toml_or_text() -> None:
    parsed = parse_assignments(
        ["epochs=5", "alignment=pia", "alignment.weight=0.5", "corruption=mask", "beta=none",
         "decoder_hidden=[10, 20]"]
    )  # fmt: skip
    assert parsed == {
        "epochs": 5,
        "alignment": {"kind": "pia", "weight": 0.5},
        "corruption": "mask",
        "beta": None,
        "decoder_hidden": [10, 20],
    }


@pytest.mark.parametrize("bad", ["epochs", "=3", ""])
def test_an_assignment_needs_key_and_value(bad: str) -> None:
    with pytest.raises(SettingsError, match="key=value"):
        parse_assignments([bad])


def test_a_value_cannot_have_keys_of_its_own() -> None:
    with pytest.raises(SettingsError, match="already has a value"):
        parse_assignments(["epochs=5", "epochs.weight=1"])


def test_merge_lays_tables_over_each_other() -> None:
    base = {"a": 1, "b": {"c": 2, "d": 3}}
    assert settings.merge(base, {"b": {"c": 5}, "e": 6}) == {"a": 1, "b": {"c": 5, "d": 3}, "e": 6}


def test_merge_never_mixes_two_kinds() -> None:
    annealed = {"beta": {"kind": "linear_anneal", "end": 0.2, "steps": 9}}
    constant = {"beta": {"kind": "constant", "value": 0.1}}
    assert settings.merge(annealed, constant) == constant
    assert settings.merge(annealed, {"beta": {"end": 0.3}})["beta"] == {
        "kind": "linear_anneal", "end": 0.3, "steps": 9
    }  # fmt: skip
    assert settings.merge({"corruption": "mask"}, {"corruption": {"keep_prob": 0.3}}) == {
        "corruption": {"kind": "mask", "keep_prob": 0.3}
    }
    assert settings.merge({"alignment": {"weight": 8.0}}, {"alignment": {"kind": "pia"}}) == {
        "alignment": {"kind": "pia", "weight": 8.0}
    }
    assert settings.merge({"alignment": "none"}, {"alignment": {"weight": 1}}) == {
        "alignment": {"weight": 1}
    }


def test_toml_files(tmp_path) -> None:
    path = tmp_path / "ease.toml"
    path.write_text("l2 = 20.0\n")
    assert settings.build(EASE, settings.read_toml(path)) == EASE(20.0)
    path.write_text("l2 = = 3")
    with pytest.raises(SettingsError, match="is not TOML"):
        settings.read_toml(path)
    with pytest.raises(SettingsError, match="does not exist"):
        settings.read_toml(tmp_path / "absent.toml")


def test_unknown_names_offer_the_nearest() -> None:
    error = UnknownNameError("algorithm", "multvea", ["ease", "multvae"])
    assert str(error) == (
        "unknown algorithm 'multvea'; did you mean 'multvae'? known: ease, multvae"
    )


def test_a_table_without_kind_is_of_the_defaults_kind() -> None:
    made = settings.build(MultVAE, {"corruption": {"keep_prob": 0.2}, "encoder": {"hidden": [8]}})
    assert made.corruption == Dropout(0.2)
    assert made.encoder == Base((8,))


@pytest.mark.parametrize(
    "bad",
    [{"epochs": 2.5}, {"epochs": "a"}, {"decoder_hidden": 8}, {"encoder": 3}, {"n_latent": "x"}],
)  # fmt: skip
def test_constructors_hold_their_types(bad) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        MultVAE(**bad)


def test_python_values_of_the_same_meaning_are_taken_as_the_declared_type() -> None:
    base = settings.build(Base, {"hidden": [7, 8]})
    assert base.hidden == (7, 8)
    assert base == Base((7, 8))
    made = EASE(l2=np.float32(0.5))
    assert type(made.l2) is float
    assert type(MultVAE(epochs=np.int64(3)).epochs) is int
    with pytest.raises(SettingsError, match=r"hidden\[1\] is 0; it must be at least 1"):
        settings.build(Base, {"hidden": [7, 0]})
    with pytest.raises(SettingsError, match="l2 is nan; a finite number"):
        EASE(l2=float("nan"))


def test_an_earlier_name_is_read_and_a_constructor_refuses_it_by_todays_name() -> None:
    expected = make_algorithm("multvae", {"initialiser": "xavier"})
    assert make_algorithm("multvae", {"start": "xavier"}) == expected
    with pytest.raises(SettingsError, match="start is called initialiser now, and both are given"):
        make_algorithm("multvae", {"start": "xavier", "initialiser": "spectral"})
    with pytest.raises(SettingsError, match="'start' is called 'initialiser' now"):
        MultVAE(start="xavier")  # pyright: ignore[reportCallIssue]
    earlier = {"tries": 7, "start": "xavier"}
    assert make_algorithm("warp", earlier) == WARP(n_negatives=7, initialiser=Xavier())
