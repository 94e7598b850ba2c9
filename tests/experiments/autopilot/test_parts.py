"""Families, proposals, pace: what the search is made of."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.multvae import MultVAE
from nearfar.experiments.autopilot import search, time_budget
from nearfar.experiments.autopilot.autopilot import AutopilotOptions, autopilot
from nearfar.experiments.autopilot.families import FAMILIES, VARIANTS, Family, select_families
from nearfar.experiments.autopilot.needs import closed_form_seconds, needed_bytes
from nearfar.experiments.autopilot.proposals import propose
from nearfar.experiments.autopilot.records import Record
from nearfar.experiments.autopilot.search import FamilySearch, shortened
from nearfar.experiments.autopilot.time_budget import Hopeless, Pace, TooSlow
from nearfar.experiments.tuning.space import Parameter, Space
from nearfar.train.history import EpochRecord, StepReport
from nearfar.train.run import Run
from tests.conftest import interactions
from tests.experiments.autopilot.cases import Time, two_tastes

SPACE = Space({
    "rate": Parameter(1e-4, 1e-1, log=True),
    "size": Parameter(choices=(32, 64, 128)),
    "n": Parameter(5, 30),
})  # fmt: skip
START = {"rate": 1e-3, "size": 64, "n": 10}


def record(number: int, score: float | None, **values) -> Record:
    state = "complete" if score is not None else "failed"
    return Record(number, "f", {**START, **values}, {}, state, score)


def test_every_family_can_be_made_and_searches_its_algorithms_space() -> None:
    train = two_tastes()
    for family in FAMILIES:
        algorithm = family.base().resolved(train)
        space = family.space(algorithm)
        assert space.parameters or not family.searched
        full = Space.of(family.algorithm) if family.searched else Space({})
        assert set(space.parameters.items()) <= set(full.parameters.items())
    searched = {f.name: f.space(f.base().resolved(train)).parameters for f in FAMILIES}
    assert "alignment.weight" in searched["multvae+pia"]
    assert "alignment.weight" not in searched["multvae"]


def test_only_fits_that_cannot_be_stopped_are_estimated() -> None:
    train = two_tastes()
    seconds = {
        name: closed_form_seconds(make_algorithm(name, {}).resolved(train), train)
        for name in ("ease", "edlae", "plrec", "wmf", "multvae")
    }
    assert {name for name, value in seconds.items() if value > 0} == {"ease", "edlae", "plrec"}
    fewer = make_algorithm("plrec", {"n_factors": 2})
    assert closed_form_seconds(fewer, train) < seconds["plrec"]


def test_a_closed_form_that_takes_too_long_is_shortened_where_it_can_be(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(
        search, "closed_form_seconds", lambda a, train: 1e3 * (getattr(a, "n_factors", 512) > 64)
    )
    said: list[str] = []
    data = interactions(np.random.default_rng(0).random((300, 150)) < 0.1)
    found = autopilot(
        data, tmp_path / "best",
        AutopilotOptions(minutes=0.5, only=("ease", "plrec", "popularity")), say=said.append,
    )  # fmt: skip
    assert "would take about 16.7 min" in found.records.left_out["ease"]
    assert any("PLRec would take about 1000 s; shortened to n_factors=" in each for each in said)
    assert found.records.best("plrec") is not None


@pytest.mark.parametrize("share", [0.9, 0.3, 0.1, 0.02])
def test_a_shortened_closed_form_fits_the_time_by_its_own_estimate(share: float) -> None:
    train = interactions(np.random.default_rng(0).random((1500, 1200)) < 0.05)
    family = next(f for f in FAMILIES if f.name == "plrec")
    algorithm = family.start_on(train)
    allowance = share * closed_form_seconds(algorithm, train)
    fitter = SimpleNamespace(
        records=None, held_out=SimpleNamespace(train=train), say=lambda text: None
    )
    search = FamilySearch([family], fitter)  # pyright: ignore[reportArgumentType]
    found = search._shorten_closed_form(family, algorithm, allowance)
    assert found is None or closed_form_seconds(found, train) <= allowance
    assert (found is None) == (share < 0.05)


def test_a_trial_of_a_round_is_not_begun_where_it_would_take_too_long(
    tmp_path, monkeypatch
) -> None:
    asked: list[int] = []

    def seconds(algorithm, train) -> float:
        asked.append(n := getattr(algorithm, "n_factors", 0))
        return 1e-3 if n <= 512 else 1e9

    monkeypatch.setattr(search, "closed_form_seconds", seconds)
    options = AutopilotOptions(minutes=0.3, only=("plrec",))
    found = autopilot(two_tastes(), tmp_path / "best", options)
    for record in found.records.of("plrec"):
        large = record.settings["n_factors"] > 512
        assert (record.state == "failed") is large
        assert not large or "would take about" in str(record.reason)
    assert any(n > 512 for n in asked), "the space proposes more factors"


def test_each_variant_of_an_autoencoder_is_a_family() -> None:
    names = {f.name for f in FAMILIES}
    assert {f"multvae+{variant}" for variant in VARIANTS} | {"recvae+pia"} <= names
    assert {v for f in FAMILIES for v in f.variants} == set(VARIANTS)


def test_the_richer_network_starts_as_the_default_tries_it() -> None:
    train = two_tastes()
    richer = next(f for f in FAMILIES if f.name == "multvae+richer").start_on(train)
    tried = MultVAE().alternatives()[1].resolved(train)
    assert replace(richer, batch_size=tried.batch_size, learning_rate=None) == replace(
        tried, richer=None, learning_rate=None
    )


def test_only_takes_algorithms_and_variants() -> None:
    assert [f.name for f in select_families(("multvae", "ease"))] == [
        "ease", "multvae", "multvae+richer", "multvae+pia"
    ]  # fmt: skip
    assert [f.name for f in select_families(("RecVAE+PIA",))] == ["recvae+pia"]
    assert select_families() == FAMILIES


def test_proposals_depend_on_the_finished_trials_alone() -> None:
    trials = [record(0, 0.3), record(1, 0.4, rate=5e-3)]
    first = propose(SPACE, START, trials, 7, "f")
    assert first == propose(SPACE, START, list(trials), 7, "f")
    assert first != propose(SPACE, START, trials, 8, "f")
    assert first != propose(SPACE, START, trials, 7, "g")


def test_proposals_stay_in_the_space_and_close_in_on_the_best() -> None:
    trials = [record(0, 0.3), record(1, 0.4, rate=2e-2, n=25)]
    distances = []
    for number in range(2, 60):
        values = propose(SPACE, START, trials, 0, "f")
        assert values["size"] in (32, 64, 128)
        assert SPACE.parameters["rate"].holds(values["rate"])
        assert SPACE.parameters["n"].holds(values["n"])
        distances.append(abs(np.log(values["rate"] / 2e-2)))
        trials.append(record(number, 0.1, **values))
    assert np.median(distances[30:]) < 0.7 * np.median(distances[:8])


def test_a_value_left_open_is_drawn() -> None:
    values = propose(SPACE, {"rate": None, "size": None, "n": None}, [record(0, None)], 0, "f")
    assert all(SPACE.parameters[k].holds(v) for k, v in values.items())


def test_a_fit_is_shortened_with_its_schedule() -> None:
    family = next(f for f in FAMILIES if f.name == "multvae")
    algorithm = make_algorithm("multvae", {"epochs": 20, "schedule": {"epochs": 20}})
    short = shortened(family, algorithm, 0.5)
    assert (short.epochs, short.schedule.epochs) == (10, 10)
    assert shortened(family, algorithm, 0.1) is None
    algorithm = family.start_on(two_tastes(600, 10))
    assert isinstance(algorithm, MultVAE)
    assert (algorithm.epochs, algorithm.schedule.epochs) == (60, 0)
    short = shortened(family, algorithm, 0.5)
    assert (short.epochs, short.schedule.epochs) == (30, 0)
    assert algorithm.learning_rate == 1e-3
    # half the steps, so that each must be longer
    resolved = short.resolved(two_tastes(600, 10))
    assert resolved.learning_rate == pytest.approx(0.35 / (30 * 6), rel=1e-3)
    wmf = next(f for f in FAMILIES if f.name == "wmf")
    algorithm = make_algorithm("wmf", {"n_factors": 256, "unobserved_weight": 0.1, "l2": 0.01})
    assert shortened(wmf, algorithm, 0.6).n_factors == 128
    assert shortened(wmf, algorithm, 0.2).n_factors == 64
    assert shortened(wmf, algorithm, 0.01) is None
    ease = next(f for f in FAMILIES if f.name == "ease")
    assert shortened(ease, ease.base(), 0.5) is None


def test_few_users_are_taken_in_small_batches() -> None:
    family = next(f for f in FAMILIES if f.name == "multvae")
    assert family.base().batch_size == 250
    assert family.start_on(two_tastes(600, 10)).batch_size == 100
    assert family.start_on(two_tastes(60, 10)).batch_size == 25
    assert family.start_on(two_tastes(3000, 10)).batch_size == 250


def step(epoch: int, done: int, n_steps: int = 10, n_epochs: int = 10) -> StepReport:
    return StepReport(epoch, n_epochs, done, n_steps, {}, 1.0, epoch * n_steps + done)


def train(watch: Pace, clock: Time) -> None:
    """A hundred steps of a second each."""
    for n in range(100):
        watch.step(step(n // 10, n % 10 + 1))
        clock.now += 1.0


def epoch(number: int, score: float) -> EpochRecord:
    return EpochRecord(number, 0, 0.0, {}, {}, 0, {"NDCG@100": score}, False, 1.0, 1.0, 1.0)


@pytest.fixture
def clock(monkeypatch) -> Time:
    time = Time()
    monkeypatch.setattr(time_budget, "time", time)
    return time


def test_a_slow_fit_is_stopped_when_it_can_be_foreseen(clock: Time) -> None:
    """A second a step, 100 steps, 50 s allowed: known after the warm-up, not after the 50 s."""
    watch = Pace(Run(), allowance=50.0)
    clock.now += 5.0  # before the first step: the start of the weights
    with pytest.raises(TooSlow) as slow:
        train(watch, clock)
    assert clock.now - 1000.0 < 10.0
    assert slow.value.seconds == pytest.approx(105.0, rel=0.03)


def test_a_fit_in_time_is_left_alone(clock: Time) -> None:
    train(Pace(Run(), allowance=120.0), clock)
    assert clock.now == 1100.0


def test_a_fit_below_the_median_is_given_up_after_a_third_of_its_epochs(clock: Time) -> None:
    earlier = [[0.1, 0.2, 0.3, 0.4, 0.5] * 2, [0.1, 0.2, 0.3, 0.4, 0.6] * 2]
    watch = Pace(Run(), 1e9, earlier)
    watch.step(step(0, 1))
    for n in range(3):
        watch.epoch(epoch(n, 0.1))
    with pytest.raises(Hopeless):
        watch.epoch(epoch(3, 0.1))
    good = Pace(Run(), 1e9, earlier)
    good.step(step(0, 1))
    for n in range(10):
        good.epoch(epoch(n, 0.56))


def test_the_memory_of_an_autoencoder_grows_with_its_weights() -> None:
    """600 + 200 latents' two tables of 600 x items, five copies, and what does not grow."""
    wide = two_tastes(40, 1000)
    family = next(f for f in FAMILIES if f.name == "multvae")
    needed = needed_bytes(family.base(), wide)
    n_parameters = sum(
        p.numel() for p in family.base().architecture(1000).build(_generator()).parameters()
    )
    assert needed > 4 * 5 * n_parameters
    assert needed < 4 * 5 * n_parameters + (600 << 20)


def _generator():
    import torch

    return torch.Generator().manual_seed(0)


def surveyed(scores: dict[str, float | None]) -> FamilySearch:
    """A search whose families have had their first trials; None for one that was left out."""
    trials = [
        Record(n, name, {}, {}, "complete", score)
        for n, (name, score) in enumerate(scores.items())
        if score is not None
    ]
    left_out = {name: "too slow" for name, score in scores.items() if score is None}
    records = SimpleNamespace(trials=trials, left_out=left_out)
    fitter = SimpleNamespace(records=records, held_out=SimpleNamespace(train=None), say=print)
    return FamilySearch(FAMILIES, fitter)


def test_a_variant_is_tried_only_where_its_algorithm_is_good_without_it() -> None:
    pia = {f.algorithm: f for f in FAMILIES if "pia" in f.variants}
    search = surveyed(
        {"popularity": 0.9, "ease": 0.3, "edlae": 0.31, "plrec": 0.1, "wmf": 0.2, "multvae": 0.25}
        | {"recvae": None}
    )
    assert search._without_prospects(pia["multvae"]) is None
    assert search._without_prospects(pia["recvae"]) == "RecVAE is left out"
    search = surveyed({"ease": 0.3, "edlae": 0.31, "plrec": 0.27, "wmf": 0.2, "multvae": 0.25})
    assert search._without_prospects(pia["multvae"]) == "Mult-VAE is not in the better half"
    for family in FAMILIES:
        if family not in pia.values():  # the richer network is good where the plain one is not
            assert search._without_prospects(family) is None
    alone = FamilySearch([pia["multvae"]], search.fitter)
    assert alone._without_prospects(pia["multvae"]) is None


@pytest.mark.parametrize(("seconds", "lengths"), [(150.0, [40, 22]), (250.0, [40])])
def test_a_second_autoencoder_is_not_cut_below_half(seconds: float, lengths: list[int]) -> None:
    tried: list[int] = []

    def attempt(family, algorithm, *rest) -> None:
        tried.append(algorithm.epochs)
        if len(tried) == 1:
            raise TooSlow(seconds)

    search = surveyed({"multvae": 0.25})
    records = search.fitter.records
    records.best = lambda name: records.trials[0] if name == "multvae" else None
    search.train = two_tastes()
    search.fitter.attempt = attempt
    recvae = next(f for f in FAMILIES if f.name == "recvae")
    algorithm = recvae.with_values(recvae.base(), {"epochs": 40})
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Family, "start_on", lambda *_: algorithm)
        reason = search._fit_first(recvae, 100.0)
    assert tried == lengths
    assert (reason is None) == (len(lengths) > 1)
    if reason is not None:
        assert "would take about 4.2 min" in reason


def test_the_best_of_each_kind_goes_on_before_a_second_of_the_same() -> None:
    scores = {"ease": 0.31, "edlae": 0.32, "plrec": 0.1, "wmf": 0.2, "multvae": 0.25}
    search = surveyed(scores)
    searched = [f for f in FAMILIES if f.name in scores]
    search.fitter.blends = True
    going_on = [[f.name for f in search._survivors(searched, n)] for n in (1, 2, 3)]
    assert going_on == [["edlae", "multvae", "wmf"], ["edlae", "multvae"], ["edlae"]]
    search.fitter.blends = False
    assert [f.name for f in search._survivors(searched, 1)] == ["edlae", "ease", "multvae"]
