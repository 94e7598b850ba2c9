"""The report's measurements, and what becomes of bundles that cannot be mapped or examined."""

import json

import pytest

from nearfar.core.errors import MissingExtraError, SettingsError
from nearfar.maps.atlas import Atlas
from nearfar.report import report as module
from nearfar.report.report import Options, make_report
from nearfar.theory.diagnosis import Diagnosis
from tests.report.cases import ALGORITHMS, EVIL_NAME, bundles, plain_report, report, split


def test_every_bundle_is_measured_and_autoencoders_are_mapped_and_examined() -> None:
    found = report()
    assert list(found.measured) == list(ALGORITHMS)
    assert isinstance(found.atlas, Atlas)
    assert [m.title for m in found.atlas.maps] == ["plain", EVIL_NAME]
    assert found.atlas.cohorts.n_users <= 60
    assert isinstance(found.diagnosis, Diagnosis)
    for findings in found.diagnosis.findings.values():
        assert list(findings) == ["plain", EVIL_NAME]
    assert found.everyone.n_users == 200
    text = json.dumps(found.to_dict(), allow_nan=False)
    assert json.loads(text)["evaluations"].keys() == ALGORITHMS.keys()


def test_what_was_left_out_says_so() -> None:
    found = plain_report("plain")
    assert found.atlas == "The map was left out."
    assert found.diagnosis == "The diagnostics were left out."
    assert found.to_dict()["map"] is None


def test_without_a_latent_space_there_is_neither() -> None:
    found = make_report(bundles("pop", "ease"), split(), Options(users=60))
    assert "None of the bundles is of an autoencoder" in str(found.atlas)
    assert "None of the bundles is of an autoencoder" in str(found.diagnosis)


def test_too_few_users_for_a_map_or_the_theory_are_told() -> None:
    found = make_report(bundles("plain"), split(), Options(users=3))
    assert str(found.atlas).startswith("There is no map: ")
    assert str(found.diagnosis).startswith("There are no diagnostics: the sample has 3 users")


def test_it_is_said_how_it_goes() -> None:
    lines: list[str] = []
    options = Options(users=60, diagnostics=False, latent_map=False)
    make_report(bundles("pop"), split(), options, lines.append)
    assert lines == ["pop: recommending to 40 test users ..."]


def test_wrong_options_and_missing_libraries_are_refused_before_the_work(monkeypatch) -> None:
    with pytest.raises(SettingsError, match="at least 1"):
        Options(users=0)
    with pytest.raises(SettingsError, match="no bundle"):
        make_report({}, split())
    real = module.require

    def without(*names, **rest):
        if "plotly" in names:
            raise MissingExtraError("plotly", "maps", "a report")
        real(*names, **rest)

    monkeypatch.setattr(module, "require", without)
    monkeypatch.setattr(module, "measure", lambda *a: pytest.fail("work began"))
    with pytest.raises(MissingExtraError, match=r"nearfar\[maps\]"):
        make_report(bundles("pop"), split())
