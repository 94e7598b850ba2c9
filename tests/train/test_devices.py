"""On a GPU no step waits for it and no tensor stays behind on the CPU (a simulated GPU)."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.bundle.bundle import Bundle, describe
from nearfar.bundle.exports.embeddings import Embeddings
from nearfar.bundle.exports.npz import Npz
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.models.top_k import rank
from nearfar.theory.instrument import all_instruments
from nearfar.theory.subject import Subject
from nearfar.train import feed
from nearfar.train.callback import Callback
from nearfar.train.run import Run
from tests.contracts.test_algorithms import CASES
from tests.simulated_cuda import CUDA, Watch, is_marked, simulated_cuda

FEW = {"epochs": 1, "batch_size": 40}
"""Three steps per pass of the 120 training users."""

SETTINGS = {
    **CASES,
    "ract": {
        **CASES["ract"],
        "pretraining_epochs": 1,
        "critic_epochs": 1,
        "joint_epochs": 1,
    },
    "multvae+soft": {
        **CASES["multvae"],
        "likelihood": {"kind": "multinomial", "background": 0.3},
    },
    "multvae+published": {
        **CASES["multvae"],
        "likelihood": {"kind": "multinomial"},
        "initialiser": "xavier",
    },
    "multvae+mask": {**CASES["multvae"], "corruption": "mask"},
    "blend+multvae": {"parts": ["popularity", {"kind": "multvae", **CASES["multvae"], **FEW}]},
}
SIZES_OF_DATA = {
    "aten::_unique2", "aten::index", "aten::nonzero", "aten::unique_consecutive",
}  # fmt: skip
"""What a step with sampled items and rows that are updated alone has to read."""


def small(case: str) -> Algorithm:
    settings = dict(SETTINGS[case])
    settings |= {name: value for name, value in FEW.items() if name in settings}
    return make_algorithm(case.partition("+")[0], settings)


class Waits(Callback):
    """Notes how often the CPU had waited at the end of each step."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.ends: list[tuple[int, int]] = []

    def step(self, report) -> None:
        self.ends.append((report.epoch, len(self.watch.waits)))

    def between_steps(self) -> list[str]:
        """What made the CPU wait after the first step of each epoch."""
        pairs = zip(self.ends, self.ends[1:], strict=False)
        spans = [slice(a[1], b[1]) for a, b in pairs if a[0] == b[0]]
        return [wait for span in spans for wait in self.watch.waits[span]]


@pytest.mark.parametrize("case", sorted(SETTINGS.keys() - {"blend"}))
def test_training_waits_for_no_device_and_leaves_nothing_behind(case: str, clusters) -> None:
    """The simulated GPU computes the same: every algorithm learns there what it learns here."""
    train, validation = clusters
    algorithm = small(case)
    here = algorithm.fit(train, validation, run=Run(seed=1, device="cpu"))
    with simulated_cuda() as watch:
        reporter = Waits(watch)
        there = algorithm.fit(train, validation, run=Run(seed=1, callbacks=(reporter,)))
        scores = there.score(validation.fold_in.x)
    waits = {wait.split()[0] for wait in reporter.between_steps()}
    allowed = SIZES_OF_DATA if case == "multvae+sampled" else set()
    assert waits <= allowed, reporter.between_steps()
    np.testing.assert_allclose(scores, here.score(validation.fold_in.x), rtol=2e-3, atol=2e-3)


def test_batches_too_large_for_the_device_come_from_pinned_memory(clusters, monkeypatch) -> None:
    train, _ = clusters
    monkeypatch.setattr(feed, "SHARE", 0.0)
    with simulated_cuda() as watch:
        (rows, *_) = feed.Feed(train.x, CUDA).batches(np.arange(120), 40)
        assert is_marked(rows.indices)
        assert watch.waits == []
        np.testing.assert_array_equal(rows.limits, rows.indptr.cpu().numpy())


def test_a_batch_is_ranked_with_one_upload_each_and_one_read_of_the_result(clusters) -> None:
    train, validation = clusters
    with simulated_cuda() as watch:
        model = small("multvae").fit(train, None, run=Run(seed=1))
        before = len(watch.waits)
        model.top_k(validation.fold_in.x, 5, batch_size=20)  # 40 users
        waits = [wait.split()[0] for wait in watch.waits[before:]]
    assert sorted(waits) == ["download"] * 4 + ["upload"] * 6


def test_a_device_ranks_as_the_cpu_with_ties_and_without_candidates() -> None:
    rng = np.random.default_rng(0)
    scores = torch.from_numpy(rng.integers(-3, 4, (50, 40)).astype(np.float32))
    scores[0] = -torch.inf
    scores[1, 3:] = -torch.inf
    scores[2, 5] = torch.nan
    scores[3] *= -0.0
    items, values = rank(scores.clone(), 7)
    with simulated_cuda() as watch:
        ranked, best = rank(scores.to(CUDA), 7)
        assert [wait.split()[0] for wait in watch.waits] == ["upload"]
        assert ranked.cpu().tolist() == items.tolist()
        assert best.cpu().tolist() == values.tolist()


def test_a_run_on_a_device_resumes_to_the_same_bits(clusters, tmp_path: Path) -> None:
    train, validation = clusters
    with simulated_cuda():
        algorithm = replace(small("multvae+pia"), epochs=2)
        run = Run(seed=1, folder=tmp_path / "whole")
        whole = algorithm.fit(train, validation, run=run)

        class Stop(Callback):
            def step(self, report) -> None:
                if report.epoch == 1 and report.step == 2:
                    raise KeyboardInterrupt

        folder = tmp_path / "cut"
        cut = Run(seed=1, folder=folder, checkpoint_epochs=1, callbacks=(Stop(),))
        with pytest.raises(KeyboardInterrupt):
            algorithm.fit(train, validation, run=cut)
        resumed = Run(seed=1, folder=folder, resume=True)
        again = algorithm.fit(train, validation, run=resumed)
        x = validation.fold_in.x
        np.testing.assert_array_equal(again.score(x), whole.score(x))


@pytest.mark.parametrize("case", ["multvae+pia", "blend+multvae", "recvae"])
def test_a_bundle_goes_from_device_to_cpu_and_back(case: str, clusters, tmp_path: Path) -> None:
    train, validation = clusters
    x, path = validation.fold_in.x, tmp_path / "bundle"
    algorithm = small(case)
    with simulated_cuda():
        model = algorithm.fit(train, validation, run=Run(seed=1))
        scores = model.score(x)
        metadata = describe(algorithm, train, seed=1, protocol={}, metrics={}, history=None)
        save_bundle(Bundle(model, train.item_ids, metadata), path)
        bundle = load_bundle(path, device="cuda")
        assert bundle.model.device == CUDA
        np.testing.assert_array_equal(bundle.model.score(x), scores)
        if case != "blend+multvae":
            Embeddings().write(bundle, tmp_path / "embeddings")
            Npz().write(bundle, tmp_path / "arrays.npz")
    np.testing.assert_allclose(load_bundle(path).model.score(x), scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("instrument", all_instruments())
def test_a_model_on_a_device_is_examined_there(instrument: str, clusters) -> None:
    train, validation = clusters
    algorithm = small("multvae+pia")
    with simulated_cuda():
        model = algorithm.fit(train, None, run=Run(seed=1))
        subject = Subject(
            model, validation.fold_in.x, np.arange(40) % 2, ("even", "odd"), beta=0.2,
            align_weight=0.1, n_masks=2, n_sharing=6, algorithm=algorithm,
        )  # fmt: skip
        finding = all_instruments()[instrument].measure(subject)
    assert finding.absent is None
    assert finding.numbers


def test_the_simulation_refuses_what_a_gpu_refuses() -> None:
    with simulated_cuda() as watch:
        there, here = torch.ones(3, device="cuda"), torch.ones(3)
        with pytest.raises(RuntimeError, match="same device"):
            there + here
        with pytest.raises(TypeError, match="numpy"):
            there[1:].numpy()
        with pytest.raises(RuntimeError, match="generator"):
            torch.rand(3, device="cuda", generator=torch.Generator())
        assert watch.waits == []
        assert bool(there.sum() == 3)
        assert there[there > 0].tolist() == [1, 1, 1]
        assert [wait.split()[0] for wait in watch.waits] == [
            "aten::_local_scalar_dense", "aten::index", "tolist",
        ]  # fmt: skip
