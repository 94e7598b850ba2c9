"""Ablations: what each row changes, the parts of the term alone, users by diversity of taste."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.stats import rankdata

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recvae import RecVAE
from nearfar.experiments.reproduction.ablation import Ablation, Growing
from nearfar.experiments.reproduction.diversity import diversity_table
from nearfar.experiments.reproduction.row_settings import row_algorithm
from nearfar.experiments.reproduction.rows import ABLATIONS, TABLES, Published, TableRow
from nearfar.experiments.reproduction.study import Study
from nearfar.experiments.reproduction.summary import summarise
from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.per_interaction import PerInteraction
from nearfar.vae.weights.weight import Progress
from tests.experiments.reproduction.cases import TINY, Counting, plan
from tests.vae.steps import make_step

N_USERS, N_ITEMS, K = 6, 9, 3


def row(name: str, label: str = "Multi-VAE") -> TableRow:
    return next(r for r in TABLES["ablations"] if r.label == f"{label}, {name}")


def made(name: str, label: str = "Multi-VAE") -> Algorithm:
    return row_algorithm(row(name, label), ["ml-1m"])


def test_rows_of_an_algorithm_differ_by_the_alignment_alone() -> None:
    aligned = row_algorithm(next(r for r in TABLES["table1"] if r.label == "Multi-VAE + PIA"),
                            ["ml-1m"])  # fmt: skip
    assert isinstance(aligned, MultVAE)
    for name in ABLATIONS:
        algorithm = made(name)
        assert isinstance(algorithm, MultVAE)
        same = replace(algorithm, alignment=aligned.alignment, beta=aligned.beta)
        assert same == aligned
        assert (algorithm.alignment is None) == (not row(name).aligned)


def test_algorithm_1_is_the_row_of_table_1(tmp_path) -> None:
    """The same fingerprint: the cell is fitted once for both tables."""
    tables = {
        label: Study(plan(tmp_path, table=table, only=(label,), overrides={}))
        for table, label in (("table1", "RecVAE + PIA"), ("ablations", "RecVAE, Algorithm 1"))
    }
    settings = {"recvae+pia": {"alignment": {"weight": 0.02, "patience": 5, "scale": 1.2}}}
    prints = set()
    for study in tables.values():
        study.plan = replace(study.plan, overrides=settings)
        study.splits.prepare(study.plan.all_seeds)
        prints |= {e.cell.fingerprint for e in study.entries() if e.cell}
    assert len(prints) == 1


def test_lambda_is_a_multiple_of_the_algorithms() -> None:
    pia = PIA(weight=2.0, patience=7, scale=1.3)
    changed = Ablation(factor=3.0).of(MultVAE(alignment=pia))
    assert isinstance(changed, MultVAE)
    assert changed.alignment is not None
    assert changed.alignment.weight == 6.0
    assert (changed.alignment.patience, changed.alignment.scale) == (7, 1.3)
    of_default = Ablation(factor=0.1).of(RecVAE(alignment=PIA()))
    assert isinstance(of_default, RecVAE)
    assert of_default.alignment is not None
    assert of_default.alignment.weight == pytest.approx(0.1 * RecVAE.ALIGN_WEIGHT)


def values(change: Ablation, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A changed term's values on a random step, and what they are made of, densely."""
    rng = np.random.default_rng(seed)
    x = (rng.random((N_USERS, N_ITEMS)) < 0.5).astype(np.float32)
    x[0] = 0  # a user whose history is empty
    counts = rng.integers(1, 50, N_ITEMS)
    draws = torch.Generator().manual_seed(seed)
    posterior = DiagonalGaussian(
        torch.randn(N_USERS, K, generator=draws), torch.randn(N_USERS, K, generator=draws)
    )
    step = make_step(Rows.from_csr(csr_array(x)), posterior, OutputLayer(K, N_ITEMS, draws))
    algorithm = change.of(MultVAE(alignment=PIA(anchor_std=1.0)))
    assert isinstance(algorithm, MultVAE)
    assert algorithm.alignment is not None
    term = algorithm.alignment.term(
        TrainingCounts(counts, 100), K, torch.Generator().manual_seed(1)
    )
    anchors = getattr(term, "anchors", torch.zeros(N_ITEMS, K)).detach().numpy()
    mass = x / counts if change.inverse_popularity else x
    shares = mass / np.maximum(mass.sum(1, keepdims=True), 1e-9)
    centroid = shares @ anchors
    apart = np.square(anchors[None] - centroid[:, None]).sum(2)
    parts = {
        "drift": np.square(posterior.mu.numpy() - centroid).sum(1),
        "variance": posterior.variance.sum(1).numpy(),
        "spread": (shares * apart).sum(1),
    }
    return term(step).detach().numpy(), {k: v * (x.sum(1) > 0) for k, v in parts.items()}


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        (Ablation(), ("drift", "variance", "spread")),
        (Ablation(parts="drift"), ("drift",)),
        (Ablation(parts="variance"), ("variance",)),
        (Ablation(inverse_popularity=True), ("drift", "variance", "spread")),
        (Ablation(parts="drift", inverse_popularity=True), ("drift",)),
    ],
)
def test_each_part_is_what_proposition_3_1_says(change: Ablation, counted) -> None:
    found, parts = values(change)
    assert found == pytest.approx(sum(parts[name] for name in counted), rel=1e-4, abs=1e-5)
    assert found[0] == 0
    assert (found[1:] > 0).all()


def test_inverse_popularity_is_another_centroid() -> None:
    assert not np.allclose(values(Ablation())[0], values(Ablation(inverse_popularity=True))[0])


def test_the_kl_weight_grows_by_algorithm_1() -> None:
    changed = Ablation(aligned=False, kl_grows=True, patience=2, scale=1.5).of(
        MultVAE(alignment=PIA(), beta=LinearAnneal(end=0.2, steps=10))
    )
    assert isinstance(changed, MultVAE)
    assert changed.alignment is None
    at = [Progress(step=5), Progress(step=20), Progress(step=20, scores=(0.3, 0.2, 0.2))]
    assert [changed.beta(progress) for progress in at] == pytest.approx([0.1, 0.2, 0.3])
    assert Growing(PerInteraction(0.01)).by_interactions
    assert not Growing(LinearAnneal()).by_interactions


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """Two rows of the ablations on two seeds."""
    folder = tmp_path_factory.mktemp("ablations")
    names = (
        "Multi-VAE, no alignment",
        "Multi-VAE, Algorithm 1",
        "Multi-VAE, variance only, lambda fixed",
    )
    done = Study(plan(folder, table="ablations", only=names, seeds=2), reporting=Counting())
    assert done.run() is None
    return done


def test_spreads_are_kept_with_the_cells(study: Study) -> None:
    kept = {(e.row.variants[1], e.seed): e.measured for e in study.entries()}
    for (variant, _), measured in kept.items():
        assert measured is not None
        assert (measured.spread is not None) == (variant == "algorithm1")
    again = Counting()
    assert Study(study.plan, reporting=again).run() is None
    assert again.titles == []  # resumed from its cells


def test_a_cell_measured_before_spreads_were_is_measured_again(study: Study, tmp_path) -> None:
    fresh = Study(replace(study.plan, folder=tmp_path, seeds=1), reporting=Counting())
    fresh.run()
    entry = next(e for e in fresh.entries() if e.row.groups_users)
    assert entry.cell is not None
    assert entry.measured is not None
    fresh.store.save(entry.cell, replace(entry.measured, spread=None))
    counting = Counting()
    Study(fresh.plan, reporting=counting).run()
    assert counting.titles == ["Multi-VAE, Algorithm 1, seed 0"]


def test_thirds_of_users_by_spread(study: Study) -> None:
    metric = study.plan.measured[-1]
    summaries = summarise(study.entries(), study.plan.measured, Published())
    table = diversity_table(summaries, [metric])
    assert table is not None
    plain, aligned = summaries[0].measured[0], summaries[1].measured[0]
    assert [d["third"] for d in table.data] == ["uniform", "middle", "diverse"]
    assert sum(d["n_users"] for d in table.data) == summaries[0].pooled().n_users
    # by hand, for one split
    one = diversity_table(
        [replace(s, entries=tuple(e for e in s.entries if e.seed == 0)) for s in summaries],
        [metric],
    )
    assert one is not None
    ranks = rankdata(aligned.spread, method="ordinal") - 1
    gain = aligned.test.values(metric) - plain.test.values(metric)
    n = len(ranks)
    expected = [gain[(ranks * 3 // n) == third].mean() for third in range(3)]
    assert [d["difference"] for d in one.data] == pytest.approx(expected)
    assert diversity_table(summaries[:1], [metric]) is None


def test_tiny_settings_reach_the_ablations() -> None:
    algorithm = row_algorithm(row("drift only, lambda fixed"), ["ml-1m"], {"multvae": TINY})
    assert isinstance(algorithm, MultVAE)
    assert algorithm.n_latent == TINY["n_latent"]
    assert algorithm.alignment is not None
    assert algorithm.alignment.patience == 0
