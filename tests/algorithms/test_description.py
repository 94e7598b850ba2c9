"""What `nearfar algorithms` and the page of settings tell."""

import json
from pathlib import Path

import pytest

from nearfar.algorithms.algorithm import names, presets
from nearfar.algorithms.description import describe, describe_all, to_markdown, to_text
from nearfar.algorithms.multvae import MultVAE
from nearfar.core.errors import UnknownNameError

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def test_all_algorithms_are_described() -> None:
    found = describe_all()
    assert [d.name for d in found] == names()
    assert {"ease", "multvae", "recvae", "popularity"} <= set(names())
    json.dumps([d.to_dict() for d in found], allow_nan=False)


def test_settings_of_the_default_kind_have_dotted_names_and_the_algorithms_own_defaults() -> None:
    rows = dict(describe("multvae").rows())
    assert rows["beta.steps"].default == MultVAE().beta.steps == 200  # of LinearAnneal alone: 1000
    assert rows["schedule.epochs"].default == 0
    assert rows["alignment.weight"].range == "at least 0"
    assert rows["corruption.keep_prob"].range == "above 0 and at most 1"
    assert "dense" in rows["encoder"].kinds
    assert rows["epochs"].meaning.startswith("passes over the users. By default")


def test_the_text_tells_every_setting_preset_and_an_example() -> None:
    text = to_text(describe("recvae"))
    for key, _ in describe("recvae").rows():
        assert f"\n  {key}: " in text
    assert all(preset in text for preset in presets("recvae"))
    assert "nearfar train recvae --data" in text
    assert max(map(len, text.splitlines()[-20:-3])) <= 80


def test_an_unknown_algorithm_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'multvae'"):
        describe("multvea")


def test_the_page_of_settings_is_current() -> None:
    """Made anew by: nearfar algorithms --markdown > docs/reference/settings.md"""
    assert PAGE.read_text() == to_markdown(describe_all())
