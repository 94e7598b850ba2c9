"""Search spaces: what can be read, what is left out, and the TOML that comes of it."""

import re
import tomllib
from pathlib import Path

import pytest

from nearfar.algorithms.algorithm import PACKAGE, Algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.core import discovery, settings
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.experiments.tuning.space import Parameter, Space, value_of, with_values
from nearfar.experiments.tuning.trials import changed_settings, settings_toml
from nearfar.vae.corruption.corruption import Mask
from nearfar.vae.weights.constant import ConstantWeight

KEPT = [
    name
    for name, cls in discovery.discover(PACKAGE, Algorithm).items()
    if (Path(__file__).parents[3] / "src/nearfar/algorithms/spaces" / f"{name}.toml").exists()
]


@pytest.mark.parametrize("name", KEPT)
def test_every_space_that_is_kept_is_of_settings_that_there_are(name: str) -> None:
    """And both ends of every setting make an algorithm, as do all choices."""
    cls = discovery.find(PACKAGE, Algorithm, name)
    aligned = "alignment" in settings.to_plain(cls())
    base = settings.build(cls, {"alignment": "pia"} if aligned else {})
    plain = {k: v for k, v in settings.to_plain(base).items() if k != "kind"}
    space = Space.of(name)
    assert space.within(base).parameters == space.parameters
    for key, parameter in space.parameters.items():
        for value in parameter.choices or (parameter.low, parameter.high):
            made = settings.build(cls, with_values(plain, {key: value}))
            assert value_of(settings.to_plain(made), key) == value


def test_those_of_this_package_are_kept() -> None:
    assert {"ease", "edlae", "multvae", "recvae"} <= set(KEPT)


def test_settings_of_what_is_switched_off_are_left_out() -> None:
    space = Space.of("multvae")
    plain = space.within(MultVAE())
    assert set(space.parameters) - set(plain.parameters) == {"alignment.weight", "alignment.scale"}
    with pytest.raises(SettingsError, match=r"nothing to search.*--set, as alignment=pia"):
        space.only(["alignment.weight"]).within(MultVAE())


def test_a_part_of_a_space_can_be_searched() -> None:
    space = Space.of("multvae").only(["beta.end"])
    assert list(space.within(MultVAE()).parameters) == ["beta.end"]
    with pytest.raises(UnknownNameError, match=r"did you mean 'beta\.end'"):
        Space.of("multvae").only(["beta.ends"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("l2 = 3", "l2 is 3; expected a table of low and high"),
        ("l2 = {low = 1}", "l2: low and high are needed, or choices"),
        ("l2 = {low = 2, high = 1}", "low must be less than high"),
        ("l2 = {low = 0, high = 1, log = true}", "log needs low above 0"),
        ("l2 = {low = 0, high = 1, choices = [1]}", "exclude each other"),
        ("l2 = {lo = 0, high = 1}", "did you mean 'low'"),
        ('l2 = {low = "a", high = 1}', "low is 'a'; a number was expected"),
        ("l2 = {", "is not TOML"),
    ],
)
def test_a_wrong_space_is_told_by_its_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(SettingsError, match=message):
        Space.read(tmp_path / "space.toml")


def test_a_setting_that_does_not_exist_is_told() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'l2'"):
        Space({"l3": Parameter(1, 2)}).within(EASE())
    with pytest.raises(SettingsError, match="no search space is kept for popularity"):
        Space.of("popularity")


@pytest.mark.parametrize(
    ("parameter", "inside", "outside"),
    [
        (Parameter(1.0, 2.0), [1.0, 1.5, 2], [0.9, "a", None]),
        (Parameter(1, 9, step=4), [1, 5, 9], [2, 13, 1.5]),
        (Parameter(choices=([1], "b")), [[1], "b"], [1, None]),
    ],
)
def test_what_a_parameter_holds(parameter, inside, outside) -> None:
    assert all(parameter.holds(value) for value in inside)
    assert not any(parameter.holds(value) for value in outside)


@pytest.mark.parametrize(
    "algorithm",
    [
        MultVAE(),
        MultVAE(
            alignment=PIA(weight=0.3), corruption=Mask(0.2), beta=ConstantWeight(0.1), epochs=3,
            decoder_hidden=(5, 6), learning_rate=1e-05, optimiser="lazy_adam",
        ),
        EASE(l2=1234.5),
    ],
)  # fmt: skip
def test_settings_written_are_settings_read(algorithm) -> None:
    cls = type(algorithm)
    plain, defaults = settings.to_plain(algorithm), settings.to_plain(cls())
    differing = {k: v for k, v in changed_settings(plain, defaults).items() if k != "kind"}
    text = "[ml-1m]\n" + settings_toml(differing)
    assert settings.build(cls, tomllib.loads(text)["ml-1m"]) == algorithm
    if algorithm == cls():
        assert differing == {}


def test_none_is_written_as_a_word() -> None:
    text = settings_toml({"alignment": None, "a b": {"c": [1.5, "x"], "d": True}})
    assert tomllib.loads(text) == {"alignment": "none", "a b": {"c": [1.5, "x"], "d": True}}


@pytest.mark.parametrize(
    ("key", "parameter", "told"),
    [
        ("learning_rate", Parameter(-1.0, 1.0), "search space: learning_rate is -1.0"),
        ("beta.steps", Parameter(-5, 10), "beta.steps is -5; it must be at least 0"),
        ("n_latent", Parameter(choices=(8, 0)), "n_latent is 0; it must be at least 1"),
        ("n_latent", Parameter(1.0, 9.5), "n_latent is 1.0; int was expected"),
    ],
)
def test_bounds_beyond_a_declared_range_are_refused_before_the_search(key, parameter, told) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        Space({key: parameter}).within(MultVAE())
