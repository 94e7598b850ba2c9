"""Training and scoring on a Ray cluster of two nodes, one of which is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.hvamp import HVamp
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.bundle.recommend import recommend, recommendations_frame
from nearfar.cluster.executor import RayExecutor
from nearfar.cluster.fit import fit
from nearfar.cluster.histories import write_histories
from nearfar.cluster.score import ScoredPart, ScoreRequest, score_histories
from nearfar.cluster.workers import Workers
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.jobs.publish import publish
from nearfar.jobs.score_daily import score_daily
from nearfar.jobs.train_weekly import train_weekly
from nearfar.models.autoencoder import Autoencoder
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.store.sinks.sql import SQLRecommendations
from nearfar.train.callback import Callback
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.priors.vamp import Vamp
from nearfar.vae.weights.constant import ConstantWeight
from tests.cluster.cases import NODE, Slow, start, stop
from tests.jobs.cases import pipeline_in, write_days

pytestmark = [
    pytest.mark.slow,
    # Ray warns of what Ray itself does.
    pytest.mark.filterwarnings(r"ignore::Warning:ray\..*"),
    # Ray leaves sockets, files and processes to the collector when it is shut down.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

DAY = date(2024, 5, 1)
AT = datetime(2024, 5, 1, 6, tzinfo=UTC)
TWO = Workers(count=2, max_failures=2)
ALGORITHM = MultVAE(
    n_latent=6, encoder=Base((8,)), decoder_hidden=(8,), beta=ConstantWeight(0.2), epochs=10,
    batch_size=4, patience=0,
)  # fmt: skip


class Nodes:
    """The cluster, whose second node can be lost and replaced."""

    def __init__(self) -> None:
        self.cluster = start()
        self.second: Any = self.cluster.add_node(**NODE)

    def lose(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = None

    def replace(self) -> None:
        """Add a second node where it was lost.

        One that a thread has added ends with its thread.
        """
        if self.second is not None:
            if self.second.remaining_processes_alive():
                return
            self.lose()
        with mock.patch("signal.signal"):  # which a thread must not call
            self.second = self.cluster.add_node(**NODE)


@pytest.fixture(scope="module")
def all_nodes() -> Iterator[Nodes]:
    found = Nodes()
    yield found
    stop(found.cluster)


@pytest.fixture
def nodes(all_nodes: Nodes) -> Nodes:
    """The two nodes; to start a cluster takes longer than a test."""
    all_nodes.replace()
    return all_nodes


class LosesNode(Callback):
    """Loses the second node after the first epoch, and adds another."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.lost_after = -1
        self.told: list[int] = []

    def epoch(self, record: EpochRecord, /) -> None:
        self.told.append(record.epoch)
        if self.lost_after < 0:
            self.lost_after = record.epoch
            self.nodes.lose()
            self.nodes.replace()


def losses(path: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in path.read_text().splitlines()]


def test_a_node_lost_in_training_changes_nothing(
    nodes: Nodes, clusters: tuple[Interactions, FoldIn], tmp_path: Path
) -> None:
    """Two workers, one of them lost with its node, train what one process trains."""
    reporter = LosesNode(nodes)
    run = Run(seed=5, folder=tmp_path, checkpoint_seconds=0.1, callbacks=(reporter,))
    model = fit(ALGORITHM, *clusters, run=run, workers=TWO)
    assert 0 <= reporter.lost_after < ALGORITHM.epochs - 2, "the node was lost too late"
    assert reporter.told == list(range(ALGORITHM.epochs))
    local = Run(seed=5, device="cpu")
    expected = ALGORITHM.fit(*clusters, run=local)
    assert [r.epoch for r in run.history.records] == list(range(ALGORITHM.epochs))
    curve = [r.loss for r in local.history.records]
    assert losses(tmp_path / "metrics.jsonl") == pytest.approx(curve, rel=2e-5)
    assert [r.loss for r in run.history.records] == pytest.approx(curve, rel=2e-5)
    for name, weight in expected.network.state_dict().items():
        found = model.network.state_dict()[name]
        np.testing.assert_allclose(found, weight, rtol=0, atol=2e-4, err_msg=name)


@pytest.mark.parametrize(
    "algorithm",
    [
        HVamp(n_latent=8, hidden=8, pseudo_inputs=10, epochs=3, batch_size=23, patience=0,
              alignment=PIA(weight=0.5)),
        replace(ALGORITHM, prior=Vamp(pseudo_inputs=10), epochs=3),
    ],
    ids=["hvamp", "multvae"],
)  # fmt: skip
def test_a_vamp_prior_is_learned_on_workers_as_here(
    algorithm: Algorithm, nodes: Nodes, clusters: tuple[Interactions, FoldIn], tmp_path: Path
) -> None:
    """Pseudo-inputs are no part of the network, and come back with it all the same."""
    run = Run(seed=5, folder=tmp_path / "run")
    model = fit(algorithm, *clusters, run=run, workers=TWO)
    local = Run(seed=5, device="cpu")
    expected = algorithm.fit(*clusters, run=local)
    assert isinstance(expected, Autoencoder)
    assert [r.loss for r in run.history.records] == pytest.approx(
        [r.loss for r in local.history.records], rel=2e-5
    )
    inputs = next(name for name in expected.prior if name.endswith("inputs"))
    assert expected.prior[inputs].shape == (10, 24)
    assert model.prior.keys() == expected.prior.keys()
    for name, values in expected.prior.items():
        np.testing.assert_allclose(model.prior[name], values, rtol=0, atol=2e-4, err_msg=name)
    for name, weight in expected.network.state_dict().items():
        found = model.network.state_dict()[name]
        np.testing.assert_allclose(found, weight, rtol=0, atol=2e-4, err_msg=name)
    train, _ = clusters
    saved = save_bundle(Bundle.of(model, algorithm, train), tmp_path / "bundle")
    restored = load_bundle(saved).model
    assert isinstance(restored, Autoencoder)
    np.testing.assert_array_equal(restored.prior[inputs], model.prior[inputs])


@pytest.fixture(scope="module")
def bundle(clusters: tuple[Interactions, FoldIn]) -> Bundle:
    train, validation = clusters
    model = ALGORITHM.fit(train, validation, run=Run(seed=1, device="cpu"))
    return Bundle.of(model, ALGORITHM, train)


def rows(sink: RecommendationSink) -> pl.DataFrame:
    return sink.read(DAY).drop("scored_at")


def local_rows(bundle: Bundle, train: Interactions, folder: Path, part: int) -> pl.DataFrame:
    """What one process gives, part by part."""
    sink = ParquetRecommendations(str(folder))
    with sink.writing(DAY, "v1", scored_at=AT) as writer:
        for start in range(0, train.n_users, part):
            found = recommend(bundle, train.x[start : start + part], k=5, deny=[103])
            users = train.user_ids.ids.slice(start, part)
            writer.write(recommendations_frame(bundle, users, found))
    return rows(sink)


REQUEST = ScoreRequest(k=5, deny=(103,))


def test_a_node_lost_in_scoring_changes_nothing(
    nodes: Nodes, clusters: tuple[Interactions, FoldIn], bundle: Bundle, tmp_path: Path
) -> None:
    train, _ = clusters
    histories = write_histories(train, tmp_path / "histories", part_users=10)
    sink = ParquetRecommendations(str(tmp_path / "recommendations"))
    told: list[int] = []

    def lose(done: ScoredPart) -> None:
        told.append(done.part)
        if len(told) == 2:
            nodes.lose()

    users, x = histories.parts[0].read(bundle.items)
    first = recommendations_frame(bundle, users, recommend(bundle, x, k=5, deny=[103]))
    with sink.writing(DAY, "v1", scored_at=AT) as writer:
        writer.write(first, 0)  # as by a run before
        done = score_histories(
            bundle, histories, Slow(writer, 0.4), request=REQUEST, workers=TWO, on_part=lose
        )
    assert sorted(told) == [d.part for d in done] == list(range(1, 12))
    assert sum(d.n_users for d in done) == train.n_users - 10
    found = rows(sink)
    assert sum(d.n_rows for d in done) == found.height - 50
    assert found.equals(local_rows(bundle, train, tmp_path / "local", 10))
    whole = recommend(bundle, train.x, k=5, deny=[103])
    everything = recommendations_frame(bundle, train.user_ids.ids, whole)
    order = everything.with_columns(pl.col("item").cast(pl.String)).sort("user", "rank")
    assert found["item"].equals(order["item"])


def test_the_jobs_do_on_workers_what_they_do_here(nodes: Nodes, tmp_path: Path) -> None:
    """A training and a scoring; recommendations go to a database, which is written to from here."""
    on_workers = RayExecutor(TWO)
    day = write_days(tmp_path / "events", 35)
    settings = pipeline_in(tmp_path)
    sink = SQLRecommendations(f"sqlite:///{tmp_path / 'r.db'}")
    pipeline = replace(settings, sink=sink)
    trained = train_weekly(pipeline, day, executor=on_workers)
    expected = train_weekly(replace(settings, registry=tmp_path / "here"), day)
    theirs, ours = trained.version.record["metrics"], expected.version.record["metrics"]
    assert theirs["popularity"] == ours["popularity"]
    assert theirs["candidate"] == pytest.approx(ours["candidate"], abs=0.02)
    publish(pipeline.registry, trained.version.name, force=True)
    told: list[int] = []
    scored = score_daily(
        pipeline, day, executor=on_workers, on_users=lambda done, _: told.append(done)
    )
    assert told[-1] == scored.n_users > 25
    found = pipeline.sink.read(day).drop("scored_at")
    score_daily(pipeline, day, again=True)
    assert found.equals(pipeline.sink.read(day).drop("scored_at"))
    assert not list(pipeline.registry.glob("scoring.*/*"))
