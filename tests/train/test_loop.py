"""Stopping, divergence, records."""

import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recipe import likelihood_of
from nearfar.algorithms.recvae import RecVAE
from nearfar.core.errors import DivergedError, EmptyDataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.kernels.gradients import tables
from nearfar.train import state
from nearfar.train.checkpoint import Checkpoint
from nearfar.train.feed import Feed
from nearfar.train.loop import train
from nearfar.train.optimiser import Optimiser
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run
from nearfar.train.state import UNREAD_STEPS
from nearfar.vae.information import Information
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.by_size import EXACT_ITEMS
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.cosine import Cosine

SMALL = {"n_latent": 4, "decoder_hidden": (8,), "batch_size": 32}


def test_the_best_epoch_is_kept_not_the_last(clusters) -> None:
    interactions, _ = clusters
    algorithm = MultVAE(**SMALL, epochs=4)
    from nearfar.models.autoencoder import Architecture

    network = Architecture(
        24, 4, algorithm.encoder, algorithm.decoder_hidden, algorithm.corruption
    ).build(torch.Generator().manual_seed(0))
    scores = iter([0.1, 0.5, 0.4, 0.3])
    seen = []

    def validate() -> dict[str, float]:
        seen.append({k: v.clone() for k, v in network.state_dict().items()})
        return {"made up": next(scores)}

    run = Run()
    objective = algorithm.objective(TrainingCounts(interactions.item_counts, 120), 0)
    train(network, objective, algorithm.plan(), interactions.x, validate=validate, run=run,
          identity={})  # fmt: skip
    assert run.history.best_epoch == 1
    assert [r.best for r in run.history.records] == [True, True, False, False]
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, seen[1][name], rtol=0, atol=0)


def test_patience_stops_early(clusters) -> None:
    interactions, validation = clusters
    run = Run()
    MultVAE(**SMALL, epochs=200, patience=3).fit(interactions, validation, run=run)
    history = run.history
    assert history.stopped_early
    assert history.best_epoch is not None
    assert len(history.records) == history.best_epoch + 1 + 3


def test_without_validation_all_epochs_run_and_the_last_is_kept(clusters) -> None:
    interactions, _ = clusters
    run = Run()
    MultVAE(**SMALL, epochs=3, patience=1).fit(interactions, run=run)
    assert run.history.best_epoch == 2
    assert not run.history.stopped_early


@pytest.mark.parametrize("folder", [False, True])
def test_the_last_epoch_is_copied_for_a_checkpoint_alone(
    clusters, folder: bool, tmp_path: Path, monkeypatch
) -> None:
    """A copy of the weights is a sixth of the memory of a large training."""
    shared = []

    def keep(self: state.TrainingState) -> None:
        now = self.modules.state_dict()
        shared.extend(now[name].data_ptr() == best.data_ptr() for name, best in self.best.items())
        kept(self)

    kept = state.TrainingState.keep_best
    monkeypatch.setattr(state.TrainingState, "keep_best", keep)
    run = Run(folder=tmp_path if folder else None)
    MultVAE(**SMALL, epochs=2).fit(clusters[0], run=run)
    assert shared
    assert set(shared) == {not folder}


def test_divergence_stops_with_its_cause(clusters) -> None:
    interactions, validation = clusters
    algorithm = MultVAE(**SMALL, epochs=50, learning_rate=1e18)
    with pytest.raises(DivergedError, match=r"diverged at step .* is not finite.*learning_rate"):
        algorithm.fit(interactions, validation)


def test_records_are_lines_of_json(clusters, tmp_path: Path) -> None:
    interactions, validation = clusters
    run = Run(folder=tmp_path)
    algorithm = MultVAE(**SMALL, epochs=3, beta=ConstantWeight(0.5), alignment=PIA(weight=2.0))
    algorithm.fit(interactions, validation, run=run)
    lines = [json.loads(t) for t in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1, 2]
    for line in lines:
        assert line["weights"] == {"reconstruction": 1.0, "kl": 0.5, "alignment": 2.0}
        weighted = sum(line["weights"][k] * v for k, v in line["terms"].items())
        assert line["loss"] == pytest.approx(weighted, rel=1e-5)
        assert "NDCG@100" in line["validation"]
        assert line["users_per_second"] > 0


def test_a_strong_prior_collapses_dimensions(clusters) -> None:
    interactions, validation = clusters
    run = Run()
    MultVAE(**SMALL, epochs=60, learning_rate=0.01, beta=ConstantWeight(1000.0), patience=0).fit(
        interactions, validation, run=run
    )
    assert run.history.records[-1].collapsed_dimensions == 4


def test_training_lowers_the_loss_and_beats_chance(clusters) -> None:
    interactions, validation = clusters
    run = Run()
    algorithm = MultVAE(
        **SMALL, epochs=40, learning_rate=0.01, likelihood=None, initialiser=Xavier()
    )
    algorithm.fit(interactions, validation, run=run)
    records = run.history.records
    assert records[-1].loss < records[0].loss - 1
    assert max(r.validation["NDCG@100"] for r in records) > 0.7


def test_users_without_items_do_not_matter(clusters) -> None:
    interactions, validation = clusters
    from scipy.sparse import vstack

    padded = Interactions(
        csr_array(vstack([interactions.x, csr_array((5, 24), dtype=np.float32)])),
        Vocabulary([*interactions.user_ids.ids.to_list(), *[f"empty{i}" for i in range(5)]]),
        interactions.item_ids,
    )
    algorithm = MultVAE(**SMALL, epochs=2)
    x = validation.fold_in.x
    np.testing.assert_array_equal(
        algorithm.fit(interactions, validation).score(x),
        algorithm.fit(padded, validation).score(x),
    )


def test_no_interactions_is_an_error(clusters) -> None:
    interactions, validation = clusters
    empty = Interactions(
        csr_array(interactions.x.shape, dtype=np.float32),
        interactions.user_ids,
        interactions.item_ids,
    )
    with pytest.raises(EmptyDataError):
        MultVAE(**SMALL).fit(empty)
    hidden = FoldIn(
        validation.fold_in,
        Interactions(
            csr_array(validation.held_out.x.shape, dtype=np.float32),
            validation.held_out.user_ids,
            validation.held_out.item_ids,
        ),
    )
    with pytest.raises(EmptyDataError, match="held-out"):
        MultVAE(**SMALL).fit(interactions, hidden)


@pytest.mark.parametrize("bad", [(0, 1, 1e-3, 0), (1, 0, 1e-3, 0), (1, 1, 0.0, 0), (1, 1, 1.0, -1)])
def test_bad_plans_are_refused(bad) -> None:
    with pytest.raises(SettingsError, match="must be"):
        TrainingPlan(*bad)


def test_a_run_can_be_used_again(clusters) -> None:
    interactions, validation = clusters
    run, algorithm = Run(seed=2), MultVAE(**SMALL, epochs=3, alignment=PIA(patience=1))
    x = validation.fold_in.x
    first = algorithm.fit(interactions, validation, run=run).score(x)
    second = algorithm.fit(interactions, validation, run=run).score(x)
    np.testing.assert_array_equal(first, second)
    assert len(run.history.records) == 3


def test_bad_run_options_are_refused() -> None:
    for name, value in [("device", "tpu"), ("precision", "float8"), ("scores_mib", 0)]:
        with pytest.raises(SettingsError, match=name):
            Run(**{name: value})
    if not torch.cuda.is_available():
        with pytest.raises(SettingsError, match="CUDA"):
            Run(device="cuda")


def test_scores_in_parts_train_the_same(clusters) -> None:
    """A batch whose scores do not fit is taken in parts: rounding apart, nothing changes."""
    rng = np.random.default_rng(0)
    wide = np.zeros((120, 9000), np.float32)
    wide[:, ::375] = clusters[0].x.toarray()
    wide[np.arange(120), rng.integers(9000, size=120)] = 1
    train_on = Interactions(csr_array(wide), Vocabulary(range(120)), Vocabulary(range(9000)))
    algorithm = MultVAE(**{**SMALL, "batch_size": 120}, epochs=2)
    whole = algorithm.fit(train_on, run=Run(seed=1))
    parts = algorithm.fit(train_on, run=Run(seed=1, scores_mib=1))
    np.testing.assert_allclose(parts.score(train_on.x), whole.score(train_on.x), atol=1e-4)


def test_bfloat16_trains_as_well(clusters) -> None:
    interactions, validation = clusters
    found = {}
    for precision in ("float32", "bfloat16"):
        run = Run(seed=0, precision=precision)
        MultVAE(**SMALL, epochs=30, learning_rate=0.01).fit(interactions, validation, run=run)
        found[precision] = max(r.validation["NDCG@100"] for r in run.history.records)
    assert found["bfloat16"] == pytest.approx(found["float32"], abs=0.02)


@pytest.mark.parametrize("algorithm", [MultVAE(), RecVAE()], ids=["multvae", "recvae"])
def test_large_catalogues_are_sampled_and_others_are_not(algorithm: MultVAE | RecVAE) -> None:
    def chosen(n_items: int) -> tuple[object, str]:
        catalogue = TrainingCounts(np.ones(n_items, np.int64), 10)
        likelihood = likelihood_of(algorithm.likelihood, catalogue)
        return type(likelihood), algorithm.plan(catalogue).optimiser

    assert chosen(EXACT_ITEMS) == (Multinomial, "adam")
    assert chosen(EXACT_ITEMS + 1) == (Sampled, "lazy_adam")
    asked = replace(algorithm, likelihood=Multinomial(), optimiser="row_adam")
    assert asked.plan(TrainingCounts(np.ones(9, np.int64), 1)).optimiser == "row_adam"


def test_the_learning_rate_follows_its_schedule(clusters, monkeypatch) -> None:
    rates = []
    step = Optimiser.step
    monkeypatch.setattr(
        Optimiser, "step", lambda self, rate: rates.append(rate) or step(self, rate)
    )
    schedule = Cosine(epochs=2, end=0.1, warm_up=2)
    settings = {**SMALL, "batch_size": 30, "epochs": 3, "learning_rate": 0.01}
    MultVAE(**settings, schedule=schedule).fit(clusters[0])
    assert rates[:2] == pytest.approx([0.005, 0.01])
    half_way = 0.1 + 0.9 * 0.5
    assert rates[4] == pytest.approx(0.01 * half_way)
    assert rates[8:] == pytest.approx([0.001] * 4)


def test_what_only_training_needs_is_given_back(clusters) -> None:
    interactions, validation = clusters
    model = MultVAE(**SMALL, epochs=1).fit(interactions, validation)
    output = model.network.decoder.out
    assert output.workspace._memory is None
    assert all(p.gradient is None and p.grad is None for p in tables(model.network))
    output(torch.zeros(1, 8)).sum().backward()
    assert output.weight.grad is not None


cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@cuda
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_cuda_trains_as_well(clusters, precision) -> None:
    interactions, validation = clusters
    run = Run(device="cuda", precision=precision)
    MultVAE(**SMALL, epochs=40, learning_rate=0.01).fit(interactions, validation, run=run)
    assert max(r.validation["NDCG@100"] for r in run.history.records) > 0.7


@cuda
def test_cuda_ranks_as_the_cpu_does(clusters) -> None:
    interactions, validation = clusters
    model = MultVAE(**SMALL, epochs=5, learning_rate=0.01).fit(
        interactions, validation, run=Run(device="cuda")
    )
    on_gpu = model.top_k(validation.fold_in.x, 5)
    model.network.cpu()
    on_cpu = model.top_k(validation.fold_in.x, 5)
    np.testing.assert_allclose(on_gpu.scores, on_cpu.scores, rtol=1e-4, atol=1e-4)


@cuda
def test_cuda_samples_large_catalogues(clusters) -> None:
    interactions, validation = clusters
    for optimiser in ("adam", "lazy_adam", "row_adam"):
        run = Run(device="cuda")
        MultVAE(**SMALL, epochs=30, learning_rate=0.01, likelihood=Sampled(12),
                optimiser=optimiser).fit(interactions, validation, run=run)  # fmt: skip
        assert max(r.validation["NDCG@100"] for r in run.history.records) > 0.6


@cuda
def test_the_matrix_lives_on_the_gpu_where_it_fits(clusters) -> None:
    feed = Feed(clusters[0].x, torch.device("cuda"))
    assert feed.resident is not None
    (rows,) = feed.batches(np.arange(120), 120)
    assert rows.indices.device.type == "cuda"
    assert rows.indices.cpu().tolist() == clusters[0].x.indices.tolist()


def test_terms_that_wait_to_be_read_come_out_the_same(
    clusters, tmp_path: Path, monkeypatch
) -> None:
    """A GPU's terms are read seldom; what is recorded is what reading each step records."""
    interactions, validation = clusters
    records = {}
    for every in (1, 3):
        monkeypatch.setitem(UNREAD_STEPS, "cpu", every)
        run = Run(seed=3, folder=tmp_path / str(every), checkpoint_epochs=1)
        MultVAE(**SMALL, epochs=3).fit(interactions, validation, run=run)
        records[every] = [(r.loss, r.terms, r.validation) for r in run.history.records]
    for one, other in zip(records[1], records[3], strict=True):
        assert one[0] == pytest.approx(other[0], rel=1e-12)
        assert one[1] == pytest.approx(other[1], rel=1e-12)
        assert one[2] == other[2]
    monkeypatch.setitem(UNREAD_STEPS, "cpu", 3)
    with pytest.raises(DivergedError, match="is not finite"):
        MultVAE(**SMALL, epochs=50, learning_rate=1e18).fit(interactions, validation)


def test_of_equal_epochs_the_earliest_is_kept(clusters) -> None:
    interactions, _ = clusters
    algorithm, run = MultVAE(**SMALL, epochs=3), Run()
    network = algorithm.architecture(24).build(torch.Generator().manual_seed(0))
    seen = []

    def validate() -> dict[str, float]:
        seen.append(network.decoder.out.bias.detach().clone())
        return {"made up": 0.5}

    objective = algorithm.objective(TrainingCounts(interactions.item_counts, 120), 0)
    train(network, objective, algorithm.plan(), interactions.x, validate=validate, run=run,
          identity={})  # fmt: skip
    assert [r.best for r in run.history.records] == [True, False, False]
    torch.testing.assert_close(network.decoder.out.bias.detach(), seen[0], rtol=0, atol=0)


def test_information_is_of_one_epoch(clusters, monkeypatch) -> None:
    users = []
    monkeypatch.setattr(Information, "nats", lambda self: users.append(self.n_users) or self.sums)
    MultVAE(**SMALL, epochs=3).fit(clusters[0])
    assert users == [120, 120, 120]


def test_checkpoints_are_as_far_apart_as_asked(clusters, tmp_path: Path, monkeypatch) -> None:
    """A clock that goes on by a second with each look; there are four steps an epoch."""
    looks, written = itertools.count(), []
    clock = SimpleNamespace(monotonic=lambda: float(next(looks)), perf_counter=time.perf_counter)
    monkeypatch.setattr(state, "time", clock)
    monkeypatch.setattr(Checkpoint, "write", lambda self, folder: written.append(self.position))
    run = Run(folder=tmp_path, checkpoint_seconds=3)
    MultVAE(**SMALL, epochs=3).fit(clusters[0], run=run)
    # Two looks between checkpoints, a third is due; writing one looks again.
    steps = [p["steps_before"] + p["step_in_pass"] for p in written]
    assert set(np.diff(steps)) == {3}
