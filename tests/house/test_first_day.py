"""What a newcomer gives to the wrong function is told in words, with what to give instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import nearfar as nf

LOG = nf.read_log("synthetic:300x40x3000")
SPLIT = nf.split_strong(LOG, 50)
EASE = nf.EASE(l2=50).fit(SPLIT.train)
EVALUATION = nf.evaluate(EASE, SPLIT.test)

WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "a model is saved": (lambda: nf.save_bundle(EASE, "x"), "nf.Bundle.of"),  # pyright: ignore
    "a model is exported": (lambda: nf.export_bundle(EASE, "x", "npz"), "nf.Bundle.of"),  # pyright: ignore
    "several algorithms": (
        lambda: nf.cross_validate([nf.EASE()], []),  # pyright: ignore
        "an algorithm was expected, not a list",
    ),
    "a log for splits": (lambda: nf.cross_validate(nf.EASE(), LOG), "nf.split_k_fold"),  # pyright: ignore
    "a name for a search": (
        lambda: nf.tune("ease", SPLIT.train, SPLIT.validation, 2),  # pyright: ignore
        "nf.TuningSearch",
    ),
    "a bundle for a history": (
        lambda: nf.plot_training(nf.Bundle.of(EASE, nf.EASE(), SPLIT.train)),  # pyright: ignore
        "a run or its history was expected, not a Bundle",
    ),
    "filters with a slip": (
        lambda: nf.read_log("synthetic:300x40x3000", filters={"min_usr": 5}),
        "did you mean 'filters.min_user'",
    ),
    "a split for training users": (lambda: nf.EASE().fit(SPLIT), "split.train"),  # pyright: ignore
    "a preset as a setting": (
        lambda: nf.MultVAE(preset="fast"),  # pyright: ignore
        "MultVAE.from_preset('fast')",
    ),
    "a preset that is not there": (
        lambda: nf.MultVAE.from_preset("fst"),
        "unknown preset of multvae 'fst'; did you mean 'fast'",
    ),
    "the class of a part": (
        lambda: nf.MultVAE(prior=nf.priors.Vamp),  # pyright: ignore
        "expected Vamp(), a name or a table of settings",
    ),
    "a number for a schedule": (
        lambda: nf.MultVAE(beta=0.2),  # pyright: ignore
        "expected a part (Weight), a name or a table of settings",
    ),
    "a setting of a run": (lambda: nf.Run(sed=1), "did you mean 'seed'"),  # pyright: ignore
    "a filter": (lambda: nf.Filters(min_usr=1), "did you mean 'min_user'"),  # pyright: ignore
    "text for a filter's number": (lambda: nf.Filters(min_user="3"), "min_user is '3'"),  # pyright: ignore
    "a setting of a part": (
        lambda: nf.priors.Vamp(pseudo_input=3),  # pyright: ignore
        "did you mean 'pseudo_inputs'",
    ),
    "a part by its class, in another case": (lambda: nf.MultVAE(prior="VampPrior"), "mean 'vamp'"),  # pyright: ignore
    "another name of a device": (lambda: nf.Run(device="gpu"), "did you mean 'cuda'"),  # pyright: ignore
    "the command line's name of an argument": (
        lambda: nf.read_log("x.csv", user_column="id"),  # pyright: ignore
        "write user=...",
    ),
    "a filter as an argument": (
        lambda: nf.read_log("x.csv", min_user=5),  # pyright: ignore
        "write filters=nf.Filters(min_user=...)",
    ),
    "an argument that is not there": (
        lambda: nf.evaluate(EASE, SPLIT.test, metric="ndcg@5"),  # pyright: ignore
        "unknown argument of nf.evaluate 'metric'; did you mean 'metrics'",
    ),
    "an argument that is missing": (
        lambda: nf.split_strong(LOG),  # pyright: ignore
        "missing a required argument: 'n_held_out'; it takes log, n_held_out",
    ),
    "a path for a log": (lambda: nf.split_strong("x.csv", 5), "nf.read_log"),  # pyright: ignore
    "a frame for a log": (lambda: nf.split_k_fold(3, 2), "a log was expected"),  # pyright: ignore
    "text for held-out users": (lambda: nf.split_strong(LOG, "5"), "n_held_out is '5'"),  # pyright: ignore
    "text for a seed": (lambda: nf.split_strong(LOG, 5, seed="a"), "seed is 'a'"),  # pyright: ignore
    "a model recommends": (lambda: nf.recommend(EASE, [[1]]), "nf.Bundle.of"),  # pyright: ignore
    "a folder recommends": (
        lambda: nf.recommend_titles("first", ["1"]),  # pyright: ignore
        "nf.load_bundle('first')",
    ),
    "a model for similar items": (lambda: nf.similar_items(EASE, [1]), "nf.Bundle.of"),  # pyright: ignore
    "a number for a path": (lambda: nf.load_bundle(3), "path is an int; a path was expected"),  # pyright: ignore
    "several metrics for one test": (
        lambda: nf.compare(EVALUATION, EVALUATION, ["NDCG@100"]),  # pyright: ignore
        "nf.compare([a, b], metrics=[...])",
    ),
    "a number for groups": (lambda: EVALUATION.groups(5), "'5-10,11-50,51-'"),  # pyright: ignore
    "a metric without a cutoff": (lambda: nf.evaluate(EASE, SPLIT.test, "ndcg"), "write ndcg@20"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_was_expected_is_told(case: str) -> None:
    call, expected = WRONG[case]
    with pytest.raises(nf.NearfarError) as raised:
        call()
    assert expected in str(raised.value)


def test_what_a_notebook_shows_of_a_report_is_its_words() -> None:
    report = nf.inspect_log(LOG, measure_speed=False)
    assert repr(report) == str(report)
    assert LOG.read is not None
    assert repr(LOG.read) == "\n".join(LOG.read.lines())


def test_texts_name_several_things_as_on_the_command_line() -> None:
    found = nf.evaluate(EASE, SPLIT.test, "NDCG@10, recall@5; mrr@10")
    assert [str(metric) for metric in found.metrics] == ["NDCG@10", "Recall@5", "MRR@10"]
    bundle = nf.Bundle.of(EASE, nf.EASE(l2=50), SPLIT.train)
    two = [str(i) for i in SPLIT.train.item_ids.ids[:2]]
    for text in ("; ".join(two), ",".join(two)):
        assert nf.recommend_titles(bundle, text).equals(nf.recommend_titles(bundle, two))
        assert nf.similar_items(bundle, text).equals(nf.similar_items(bundle, two))
    assert nf.similar_items(bundle, int(two[0])).equals(nf.similar_items(bundle, two[:1]))


def test_what_a_person_would_write_works() -> None:
    log = nf.read_log("synthetic:300x40x3000", filters={"min_user": 5})
    assert log.n_events == nf.read_log(
        "synthetic:300x40x3000", filters=nf.Filters(min_user=5)
    ).n_events  # fmt: skip
    folds = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(LOG, 2), "NDCG@10")
    assert folds.pooled.n_users == 300
    published = nf.MultVAE.from_preset("published", epochs=3, prior="vamp")
    assert (published.epochs, type(published.prior).__name__) == (3, "Vamp")
    run = nf.Run(seed=1)
    nf.MultVAE(n_latent=4, epochs=2).fit(SPLIT.train, SPLIT.validation, run=run)
    assert len(nf.plot_training(run).axes) == len(nf.plot_training(run.history).axes)
