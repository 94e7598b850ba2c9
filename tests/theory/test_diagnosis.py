"""Every instrument on every kind of autoencoder, and the story that two tastes must tell."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.theory.diagnosis import diagnose, estimated_seconds, examined_on, notes_of
from nearfar.theory.instrument import Curve, Finding, Number, all_instruments
from nearfar.theory.instruments.collaboration import LocalAndGlobal
from nearfar.theory.instruments.sharing import Sharing
from nearfar.theory.subject import Subject
from nearfar.theory.transport import w2
from tests.theory.cases import MODELS, model, subject, two_tastes

INSTRUMENTS = all_instruments()


@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("name", MODELS)
def test_contract(name: str, instrument: str) -> None:
    examined = subject(name)
    found = INSTRUMENTS[instrument].measure(examined)
    assert found.instrument == instrument
    if name in ("pia", "linear", "plain") and (instrument, name) != ("alignment", "plain"):
        assert found.absent is None, found.absent
    if found.absent is not None:
        assert not found.numbers
        assert len(found.absent) > 20
        return
    keys = [n.key for n in found.numbers]
    assert len(set(keys)) == len(keys) > 0
    assert found.meaning.endswith(".")
    assert "nan" not in found.meaning
    for number in found.numbers:
        assert (
            number.unit != "share"
            or math.isnan(number.value)
            or 0 <= number.value <= 1
            or (number.key == "variance")
        )
        assert number.formatted()
    for curve in found.curves:
        assert len(curve.x) == len(curve.y) > 0
        assert list(curve.x) == sorted(curve.x)
    again = INSTRUMENTS[instrument].measure(subject(name))
    assert json.dumps(again.to_dict(), allow_nan=False) == json.dumps(found.to_dict())
    assert INSTRUMENTS[instrument].work(examined) >= 0


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_one_cohort_and_light_masks_are_told_as_they_are(instrument: str) -> None:
    """A meaning speaks of what was measured: no cohort that is not there, no half of a history."""
    x = two_tastes()
    alone = Subject(
        model("pia"), x, np.zeros(60, int), ("all",), beta=0.2, align_weight=0.5, keep_prob=0.8,
        n_masks=4, n_sharing=20, algorithm=MODELS["pia"],
    )  # fmt: skip
    found = INSTRUMENTS[instrument].measure(alone)
    assert found.absent is None
    assert found.meaning.endswith(".")
    assert "nan" not in found.meaning
    assert "inf " not in found.meaning
    assert "half of a history" not in found.meaning
    assert "half of the history" not in found.meaning
    json.dumps(found.to_dict(), allow_nan=False)


def test_meanings_of_light_masks_and_of_one_cohort() -> None:
    x = two_tastes()
    alone = Subject(
        model("plain"), x, np.zeros(60, int), ("all",), keep_prob=0.8, algorithm=MODELS["plain"]
    )
    told = {n: INSTRUMENTS[n].measure(alone).meaning for n in ("distances", "encoder_slope")}
    assert "Cohorts of activity cannot be compared" in told["distances"]
    assert told["encoder_slope"].startswith("To hide 20 % of a history")


def test_masks_that_drive_users_apart_are_not_said_to_bring_them_near() -> None:
    """Of equal long histories every mask makes two different ones."""
    x = csr_array(np.ones((30, 16), np.float32))
    equal = Subject(model("plain"), x, np.zeros(30, int), ("all",), algorithm=MODELS["plain"])
    found = INSTRUMENTS["masking"].measure(equal)
    assert found.value("further") > 0.99
    assert found.value("nearer") == 0
    assert found.meaning.endswith("masks drive users apart more often.")
    for instrument in INSTRUMENTS.values():
        assert "nan" not in instrument.measure(equal).meaning


def test_bounds_stand_on_their_sides_of_what_they_bound() -> None:
    examined = subject()
    apart = INSTRUMENTS["distances"].measure(examined)
    error = next(n.error for n in apart.numbers if n.key == "w1")
    assert error is not None
    assert apart.value("w1_low") <= apart.value("w1") + 3 * error
    assert apart.value("w1") <= apart.value("w1_high") + 3 * error
    reach = INSTRUMENTS["sharing"].measure(examined)
    assert reach.value("surely") <= reach.value("sure")
    assert reach.value("lipschitz_bound") >= reach.value("lipschitz")
    masks = INSTRUMENTS["masking"].measure(subject(keep_prob=0.3))
    assert 0 < masks.value("nearer_bound") <= masks.value("nearer")
    assert masks.value("further_bound") <= masks.value("further")
    curves = {c.name: np.array(c.y) for c in masks.curves}
    for name in ("P(nearer)", "P(further apart)"):
        assert (curves[f"{name}, bound"] <= curves[name] + 1e-12).all()


def test_a_decoder_without_an_upper_bound_of_its_slope_says_so() -> None:
    found = INSTRUMENTS["sharing"].measure(subject("hvamp"))
    assert math.isnan(found.value("surely"))
    assert any("No upper bound of L" in note for note in found.notes)


CURVES = {
    "encoder_slope": ("How far do hidden items move a user?", "line"),
    "overlap_cost": ("What overlap costs", "line"),
    "information": ("What the KL pays for", "bars"),
    "alignment": ("Variance across masks left by alignment", "points"),
}


@pytest.mark.parametrize("instrument", CURVES)
def test_instruments_draw_what_they_measure(instrument: str) -> None:
    found = INSTRUMENTS[instrument].measure(subject("linear"))
    curve = found.curves[0]
    assert (curve.chart, curve.kind) == CURVES[instrument]
    assert np.isfinite(curve.y).all()
    if curve.kind == "bars":
        assert len(curve.categories) == len(curve.y)
        assert curve.y[0] == found.value("shown_kl")
    if instrument == "encoder_slope":
        assert curve.y[-1] > curve.y[0]  # who loses more items moves further
    if instrument == "alignment":
        assert np.mean(curve.x) == pytest.approx(found.value("variance_predicted"))
        assert np.mean(curve.y) == pytest.approx(found.value("variance_measured"))


def test_points_and_models_without_anchors_say_so() -> None:
    for instrument in ("health", "overlap_cost"):
        assert "point" in (INSTRUMENTS[instrument].measure(subject("point")).absent or "")
    absent = INSTRUMENTS["information"].measure(subject("point")).absent
    assert "without a prior" in (absent or "")
    assert "without PIA" in (INSTRUMENTS["alignment"].measure(subject("plain")).absent or "")


def test_who_shares_a_taste_helps() -> None:
    """With two tastes that share nothing, help is of one's own taste: the nearest half."""
    found = LocalAndGlobal(near_share=0.49).measure(subject())
    assert found.value("local_taste") > 0.85  # .49 without any preference
    assert found.value("harm") > 0.1
    curve = next(c for c in found.curves if "taste" in c.name)
    assert sum(curve.y) == pytest.approx(1)
    assert curve.y[0] > 5 * curve.y[-1]


def test_the_step_on_whom_the_radius_covers_helps() -> None:
    found = Sharing().measure(subject())
    assert found.value("sure") > 0
    assert found.value("sure") <= found.value("hit") <= found.value("positive")
    assert found.value("sign") == 1


def test_masks_of_a_subject_are_those_of_the_seed_and_keep_their_share() -> None:
    examined, same = subject(), subject("pia")
    total = sum(m.nnz for m in examined.masked_histories)
    assert total / (4 * two_tastes().nnz) == pytest.approx(0.5, abs=0.05)
    for ours, others in zip(examined.masked_histories, same.masked_histories, strict=True):
        assert (ours != others).nnz == 0
    other = subject(seed=1)
    assert (examined.masked_histories[0] != other.masked_histories[0]).nnz > 0
    kept = examined.masked_histories[0].toarray() > two_tastes().toarray()
    assert not kept.any()


def test_hidden_items_move_a_user_as_the_encoder_says() -> None:
    examined = subject()
    q = model("plain").encode(examined.masked_histories[2])
    torch.testing.assert_close(examined.masked_means[2], q.mu)
    moved = np.linalg.norm(
        examined.points_of(examined.masked_histories[2]) - examined.points, axis=1
    )
    np.testing.assert_allclose(moved, w2(examined.posterior, q))


def test_a_linear_decoder_contracts_about_as_the_hessian_predicts() -> None:
    """Of one linear layer the objective is nearly quadratic where masks move the minimum."""
    found = INSTRUMENTS["alignment"].measure(subject("linear"))
    predicted, measured = found.value("variance_predicted"), found.value("variance_measured")
    assert 0 < measured < 1
    assert measured == pytest.approx(predicted, rel=0.3)
    assert found.value("kappa") < 1
    assert found.value("share") < 0.2  # with the full target a mask moves the minimum by little
    assert found.value("hessian") < 0.1
    assert found.value("drift") + found.value("trace") + found.value("spread") == pytest.approx(1)


def test_several_models_side_by_side() -> None:
    told = []
    subjects = {"a": subject("plain"), "b": subject("pia"), "c": subject("plain")}
    chosen = {name: INSTRUMENTS[name] for name in ("health", "mask_drift")}
    found = diagnose(subjects, chosen, lambda what, title: told.append((what, title)))
    assert list(found.findings) == list(chosen)
    assert [title for _, title in told] == ["a", "b", "c"] * 2
    assert found.neighbours["a", "c"] == 1
    assert 0 < found.neighbours["a", "b"] < 1
    assert found.findings["health"]["a"] == found.findings["health"]["c"]
    assert set(found.seconds) == set(chosen)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["neighbours_in_common"]
    assert estimated_seconds(subjects, chosen) > 0


def test_the_sample_is_told_as_it_was_used() -> None:
    told = examined_on({"a": subject(n_sharing=500, n_masks=3, keep_prob=0.8)})
    assert told == {"n_users": 60, "n_sharing_users": 60, "n_masks": 3, "keep_prob": 0.8}


def test_numbers_are_told_with_their_units_and_intervals() -> None:
    assert Number("a", "", 0.1234, "share", 0.01).formatted() == "12.3 ± 2.0 %"
    assert Number("a", "", 1234.0, "users").formatted() == "1,234"
    assert Number("a", "", 0.00123456).formatted() == "0.00123"
    assert Number("a", "", math.nan).formatted() == "-"
    finding = Finding("i", "t", "s", numbers=(Number("a", "", math.inf),),
                      curves=(Curve("c", "", "x", "y", (1.0,), (math.nan,)),))  # fmt: skip
    assert finding.to_dict()["numbers"][0]["value"] is None
    assert finding.to_dict()["curves"][0]["y"] == [None]
    with pytest.raises(KeyError):
        finding.value("b")


def test_what_is_refused() -> None:
    x, groups = two_tastes(), np.zeros(60, int)
    with pytest.raises(EmptyDataError, match="5 users"):
        Subject(model("plain"), x[:5], groups[:5], ("all",))
    empty = csr_array(x.shape, dtype=np.float32)
    with pytest.raises(EmptyDataError, match="each with an item"):
        Subject(model("plain"), empty, groups, ("all",))
    with pytest.raises(DataError, match="9 groups"):
        Subject(model("plain"), x, groups[:9], ("all",))
    with pytest.raises(SettingsError, match="keep_prob is 1"):
        Subject(model("plain"), x, groups, ("all",), keep_prob=1)
    with pytest.raises(SettingsError, match="no model"):
        diagnose({})
    with pytest.raises(SettingsError, match="different users"):
        diagnose({"a": subject(), "b": Subject(model("plain"), x[:30], groups[:30], ("all",))})


def test_a_note_of_some_models_names_them() -> None:
    """What is said of a model with a flow must not be read as said of the others."""
    chosen = {name: INSTRUMENTS[name] for name in ("distances", "health")}
    found = diagnose({"plain": subject("plain"), "flow": subject("flow")}, chosen)
    notes = notes_of(found.findings["distances"])
    assert "W1 lies between the distance of the means and W2." in notes
    assert (
        sum(note.startswith("flow: Posteriors are not diagonal Gaussians") for note in notes) == 1
    )
    assert not any(note.startswith("Posteriors are no") for note in notes)
    for note in notes:
        assert f"({note})" in str(found)
    alone = diagnose({"flow": subject("flow")}, {"distances": INSTRUMENTS["distances"]})
    assert any(n.startswith("Posteriors are no") for n in notes_of(alone.findings["distances"]))
