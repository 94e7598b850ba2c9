"""Studies: what is cached, what a stop leaves, what a failure does."""

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.folder import load_bundle
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.experiments.reproduction.cells import CellStore
from nearfar.experiments.reproduction.datasets import data_set
from nearfar.experiments.reproduction.study import Study
from nearfar.experiments.stopping import Budget
from nearfar.metrics.ndcg import NDCG
from tests.experiments.reproduction.cases import OVERRIDES, TINY, Counting, plan


def values(study: Study) -> dict[tuple[str, int], dict[str, np.ndarray]]:
    """Every user's values of every cell that is measured."""
    return {
        (e.row.label, e.seed): {str(m): e.measured.test.values(m) for m in study.plan.measured}
        for e in study.entries()
        if e.measured is not None
    }


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(
        np.array_equal(a[cell][metric], b[cell][metric]) for cell in a for metric in a[cell]
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Study:
    """A study that ran through."""
    study = Study(plan(tmp_path_factory.mktemp("finished"), seeds=2), reporting=Counting())
    assert study.run() is None
    return study


def test_a_second_run_fits_nothing(finished: Study) -> None:
    assert len(values(finished)) == 8
    again = Study(finished.plan, reporting=Counting())
    assert again.run() is None
    assert again.reporting.titles == []
    assert same(values(again), values(finished))


def test_another_table_takes_the_cells_it_shares(finished: Study) -> None:
    counting = Counting()
    study = Study(replace(finished.plan, table="groups", only=()), reporting=counting)
    assert study.run() is None
    assert counting.titles == []


def test_more_seeds_fit_only_those(finished: Study) -> None:
    counting = Counting()
    study = Study(replace(finished.plan, seeds=3, only=("multi-vae", "ease")), reporting=counting)
    assert study.run() is None
    assert counting.titles == ["EASE, seed 2", "Multi-VAE, seed 2"]


def test_what_decides_the_numbers_decides_the_fingerprint(finished: Study) -> None:
    def cells(**changed) -> dict[tuple[str, int], str]:
        study = Study(replace(finished.plan, **changed))
        return {(e.row.label, e.seed): e.cell.fingerprint for e in study.entries() if e.cell}

    base = cells()
    assert len(set(base.values())) == 8
    ease, vae = ("EASE", 0), ("Multi-VAE", 0)
    assert cells(device="cpu") == base
    changed = cells(overrides={"multvae": {**TINY, "epochs": 5}})
    assert changed[ease] == base[ease]
    assert changed[vae] != base[vae]
    assert cells(overrides={**OVERRIDES, "multvae+pia": {"epochs": 5}})[vae] == base[vae]
    for all_change in ({"metrics": (NDCG(10),)}, {"precision": "bfloat16"}):
        assert not set(cells(**all_change).values()) & set(base.values())


def test_the_split_decides_the_fingerprint(finished: Study, tmp_path: Path) -> None:
    other = Study(plan(tmp_path, data=data_set("synthetic:200x60x3001"), only=("ease",)))
    other.run()
    (entry,) = other.entries()
    assert entry.cell.fingerprint not in {e.cell.fingerprint for e in finished.entries()}


def test_measured_values_are_those_of_the_model(finished: Study, tmp_path: Path) -> None:
    """A kept model measured anew gives the cell's values, and the checkpoint is gone."""
    import nearfar as nf

    made = Study(replace(finished.plan, folder=tmp_path, keep_models=True, seeds=1))
    made.run()
    split = made.splits.load(0)
    for entry in made.entries():
        bundle = load_bundle(made.store.model_folder(entry.cell))
        again = nf.evaluate(bundle.model, split.test, made.plan.measured)
        for metric in made.plan.measured:
            assert np.array_equal(again.values(metric), entry.measured.test.values(metric))
        assert again.user_ids == entry.measured.test.user_ids
        assert np.array_equal(again.n_fold_in, entry.measured.test.n_fold_in)
    assert same(values(made), {k: v for k, v in values(finished).items() if k[1] == 0})
    assert not list((tmp_path / "runs").iterdir())


def test_a_model_that_is_wanted_and_not_kept_is_fitted_again(finished: Study) -> None:
    wanted = replace(finished.plan, keep_models=True, only=("ease",), seeds=1)
    counting = Counting()
    Study(wanted, reporting=counting).run()
    assert counting.titles == ["EASE, seed 0"]
    assert Study(wanted, reporting=counting).run() is None
    assert counting.titles == ["EASE, seed 0"]


def test_no_budget_runs_nothing(tmp_path: Path) -> None:
    study = Study(plan(tmp_path), reporting=Counting())
    assert study.run(Budget(0)) == "budget"
    assert study.reporting.titles == []
    assert not values(study)


@pytest.mark.parametrize("how", ["budget", "interrupted", "terminated"])
def test_a_stopped_study_goes_on_to_the_same_numbers(finished: Study, tmp_path, how) -> None:
    budget = Budget(1000)

    def stop() -> None:
        if how == "budget":
            budget.deadline = 0.0
        else:
            signal.raise_signal(signal.SIGINT if how == "interrupted" else signal.SIGTERM)

    one = replace(finished.plan, folder=tmp_path, seeds=1)
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    counting = Counting(at=10, act=stop)  # in the third of four epochs of Multi-VAE
    assert Study(one, reporting=counting).run(budget) == how
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert counting.titles[-1] == "Multi-VAE, seed 0"
    study = Study(one)
    assert [e.begun for e in study.entries()] == [False, False, True, False]
    assert [e.measured is not None for e in study.entries()] == [True, True, False, False]

    rest = Counting()
    assert Study(one, reporting=rest).run() is None
    assert rest.titles == ["Multi-VAE, seed 0", "Multi-VAE + PIA, seed 0"]
    assert rest.steps == 2 * 16 - 10
    assert same(values(study), {k: v for k, v in values(finished).items() if k[1] == 0})


def test_a_failed_row_is_noted_and_the_rest_goes_on(tmp_path: Path) -> None:
    diverging = {"multvae": {**TINY, "learning_rate": 1e30}}
    study = Study(plan(tmp_path, overrides=diverging))
    assert study.run() is None
    by_label = {e.row.label: e for e in study.entries()}
    assert by_label["Popularity"].measured is not None
    assert by_label["EASE"].measured is not None
    for label in ("Multi-VAE", "Multi-VAE + PIA"):
        assert by_label[label].measured is None
        assert "diverged" in by_label[label].trouble

    mended = Study(plan(tmp_path), reporting=Counting())
    assert mended.run() is None
    assert len(values(mended)) == 4
    assert all(e.trouble is None for e in mended.entries())


def test_a_wrong_setting_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="EASE: l2 is -1"):
        plan(tmp_path, overrides={"ease": {"l2": -1}})


def test_a_failure_is_tried_again_and_forgotten_once_it_comes_through(tmp_path, monkeypatch):
    from nearfar.algorithms.ease import EASE

    def broken(self, *args, **kwargs):
        raise MemoryError("no room")

    one = plan(tmp_path, only=("ease",))
    with monkeypatch.context() as patched:
        patched.setattr(EASE, "fit", broken)
        study = Study(one)
        assert study.run() is None
        (entry,) = study.entries()
        assert entry.trouble == "MemoryError: no room"
        with pytest.raises(MemoryError):
            Study(one, raise_errors=True).run()
    assert Study(one).run() is None
    (entry,) = Study(one).entries()
    assert entry.trouble is None
    assert entry.measured is not None


def test_an_algorithm_that_does_not_exist_fails_its_row_alone(tmp_path, monkeypatch) -> None:
    from nearfar.experiments.reproduction import rows

    table = (rows.TableRow("Nothing", "nothing"), *rows.TABLES["table1"][:1])
    monkeypatch.setitem(rows.TABLES, "table1", table)
    study = Study(plan(tmp_path, only=(), overrides={}))
    assert study.run() is None
    nothing, popularity = study.entries()
    assert "unknown algorithm 'nothing'" in nothing.trouble
    assert popularity.measured is not None


def test_a_cell_without_its_values_is_missing(finished: Study, tmp_path: Path) -> None:
    entry = finished.entries()[0]
    store = CellStore(tmp_path)
    store.save(entry.cell, entry.measured)
    assert store.load(entry.cell) is not None
    next((tmp_path / "cells").glob("*.npz")).unlink()
    assert store.load(entry.cell) is None


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"seeds": 0}, SettingsError),
        ({"metrics": ("coverage@5",)}, SettingsError),
        ({"only": ("nobody",)}, UnknownNameError),
        ({"overrides": {"mulvae": {}}}, UnknownNameError),
        ({"table": "table9"}, UnknownNameError),
    ],
)
def test_a_wrong_plan_is_refused_before_anything_is_done(tmp_path, changed, kind) -> None:
    from nearfar.metrics.metric import parse_metric

    if "metrics" in changed:
        changed = {"metrics": tuple(map(parse_metric, changed["metrics"]))}
    with pytest.raises(kind):
        plan(tmp_path / "none", **changed)
    assert not (tmp_path / "none").exists()
