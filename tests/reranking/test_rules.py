"""Rule files: what they do, and what is said of a wrong one."""

from pathlib import Path

import numpy as np
import pytest

from nearfar.core.errors import SettingsError
from nearfar.reranking import MMR, Reranking, Rules, read_rules
from nearfar.reranking.reranked import Reranked
from tests.reranking.cases import built, facts, histories, ranking, with_genres

FALLING = [8.0, 7, 6, 5, 4, 3, 2, 1]
"""Genres of the items: A, A, A and B, B, B, none, C, A."""


def listed(rules: list[dict], k: int = 4, scores: list[float] = FALLING, **rest) -> list[int]:
    return built(Rules.of(rules), with_genres(), ranking(scores), k, **rest)[0]


def test_boosts_add_to_the_relevance_of_items_and_genres() -> None:
    # Relevance falls by a seventh from place to place.
    assert listed([{"item": "14", "boost": 0.5}]) == [0, 4, 1, 2]
    assert listed([{"genre": "A", "boost": -0.5}]) == [3, 0, 4, 1]
    assert listed([{"genre": "A", "boost": -0.5}, {"item": 10, "boost": 0.5}]) == [0, 3, 4, 1]


def test_pins_take_their_places_whatever_their_score() -> None:
    assert listed([{"item": 17, "pin": 1}, {"item": 10, "pin": 3}]) == [7, 1, 0, 2]
    assert listed([{"item": 10, "pin": 9}]) == [0, 1, 2, 3]  # beyond the list
    assert listed([{"genre": "C", "pin": 2}]) == [0, 6, 1, 2]
    few = [8.0, 7, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf, 1]
    assert listed([{"genre": "C", "pin": 2}], scores=few) == [0, 1, 7, -1]


def test_a_pinned_item_need_not_be_a_candidate_but_must_be_allowed() -> None:
    scores = [8.0, 7, 6, *[-np.inf] * 5]
    assert listed([{"item": 16, "pin": 2}], scores=scores) == [0, 6, 1, 2]
    seen = histories(8, [6])
    pinned = [{"item": 16, "pin": 2}]
    assert listed(pinned, scores=scores, excluded=seen) == [0, 1, 2, -1]
    assert listed(pinned, scores=scores, banned=np.array([6])) == [0, 1, 2, -1]
    assert listed([*pinned, {"genre": "C", "exclude": True}], scores=scores) == [0, 1, 2, -1]
    builder = Reranking(rules=Rules.of(pinned)).over(with_genres())
    found = builder.build(ranking(scores), histories(8, []), 3)
    assert found.scores.tolist() == [[8, 6, 7]]  # its own is at most that of the last candidate


def test_what_is_excluded_is_never_chosen() -> None:
    assert listed([{"genre": "A", "exclude": True}]) == [3, 4, 5, 6]
    assert listed([{"item": 10, "exclude": True}, {"item": 10, "pin": 1}]) == [1, 2, 3, 4]


def test_quotas_hold() -> None:
    assert listed([{"genre": "A", "at_most": 1}], 5) == [0, 3, 4, 5, 6]
    assert listed([{"genre": "*", "at_most": 1}], 8) == [0, 3, 5, 6, -1, -1, -1, -1]
    assert listed([{"genre": "C", "at_least": 1}]) == [0, 1, 2, 6]
    assert listed([{"genre": "C", "at_least": 1}, {"genre": "B", "at_least": 2}]) == [0, 2, 3, 6]
    assert listed([{"genre": "A", "at_most": 0}, {"item": 10, "pin": 1}]) == [0, 3, 4, 5]
    # A pinned item counts before its place comes.
    assert listed([{"genre": "A", "at_most": 1}, {"item": 10, "pin": 3}]) == [3, 4, 0, 5]


def test_quotas_bind_re_rankers_too() -> None:
    known = facts(np.eye(8), with_genres().items.details["genres"].to_list())
    rerank = Reranking(MMR(0.1), Rules.of([{"genre": "A", "at_most": 1}]))
    assert built(rerank, known, ranking(FALLING), 4) == [[0, 3, 4, 5]]


def test_both_formats_are_read(tmp_path: Path) -> None:
    toml, table = tmp_path / "rules.toml", tmp_path / "rules.csv"
    toml.write_text(
        '[[rule]]\nitem = 10\npin = 2\n\n[[rule]]\ngenre = "A"\nboost = -0.5\nat_most = 2\n'
        '\n[[rule]]\nitem = "11"\nexclude = true\n'
    )
    table.write_text(
        "item,genre,boost,pin,exclude,at_most\n10,,,2,,\n,A,-0.5,,,2\n\n11,,,,yes,\n",
        encoding="utf-8-sig",
    )
    found = [read_rules(path) for path in (toml, table)]
    lists = [built(rules, with_genres(), ranking(FALLING), 4) for rules in found]
    assert lists[0] == lists[1] == [[3, 0, 4, 5]]
    assert [rule.where.rpartition(", ")[2] for rule in found[1].rules] == [
        "line 2", "line 3", "line 5"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ('item = 1\nboost = "x"', "line 5: boost is 'x'; expected a number"),
        ("item = 1\npin = 0", "line 5: pin is 0; expected a whole number of at least 1"),
        ("boost = 1", "line 5: name an item or a genre"),
        ('item = 1\ngenre = "A"\nboost = 1', "line 5: name an item or a genre"),
        ("item = 1", "line 5: it does nothing; give one of boost, pin"),
        ("item = 1\nat_most = 2", "line 5: at_most counts items of a genre"),
        ("item = 1\nexclude = true\npin = 1", "line 5: it has both exclude and pin"),
        ("item = 2\npin = 1", r"line 5: place 1 is already pinned in .*line 2"),
        ("item = 9\npin = 2", r"line 5: item '9' is already pinned in .*line 2"),
        ('genre = "*"\nboost = 1', r"line 5: the genre \* works with at_most only"),
        ('genre = "A"\nat_most = 1\nat_least = 2', "line 5: at_most 1 is below at_least 2"),
        ("item = 1\nbost = 1", r"line 5\) 'bost'; did you mean 'boost'"),
        ('item = 1\nexclude = "maybe"', "line 5: exclude is 'maybe'; expected true or false"),
        ("item = 1.5\nboost = 1", "line 5: item is 1.5"),
    ],
)
def test_a_wrong_rule_is_told_with_its_line(tmp_path: Path, rule: str, message: str) -> None:
    path = tmp_path / "rules.toml"
    path.write_text(f"# a remark\n[[rule]]\nitem = 9\npin = 1\n[[rule]]\n{rule}\n")
    with pytest.raises(SettingsError, match=message):
        read_rules(path)


def test_a_wrong_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rules.csv"
    path.write_text("item,boost\n1,0.2,3\n")
    with pytest.raises(SettingsError, match="line 2 has 3 cells"):
        read_rules(path)
    path.write_text("item,bost\n1,0.2\n")
    with pytest.raises(SettingsError, match="line 1, 'bost'; did you mean 'boost'"):
        read_rules(path)
    for name, message in (("no.csv", "does not exist"), ("no.toml", "does not exist"),
                          ("rules.json", "rules are read from .toml and .csv")):  # fmt: skip
        with pytest.raises(SettingsError, match=message):
            read_rules(tmp_path / name)
    path = tmp_path / "rules.toml"
    path.write_text("[[rules]]\nitem = 1\n")
    with pytest.raises(SettingsError, match="did you mean 'rule'"):
        read_rules(path)


def test_what_the_model_does_not_know_is_told_and_the_rest_holds() -> None:
    rules = Rules.of([{"item": "x", "pin": 1}, {"genre": "Z", "boost": 1}])
    builder = Reranking(rules=rules).over(with_genres())
    assert builder.rules.unknown == (
        "rule 1: the model has no item 'x'",
        "rule 2: no item has the genre 'Z'; there are A, B, C",
    )
    with pytest.raises(SettingsError, match="rule 1: genre 'Z' needs genres"):
        Reranking(rules=Rules.of([{"genre": "Z", "boost": 1}])).over(facts(np.eye(3)))


class Scores:
    """A model of fixed scores for every user."""

    popularity = np.ones(8, np.int64)
    n_train_users = 1

    def top_k(self, histories, k, *, exclude_seen=True, deny=None):
        scores = np.array(FALLING)
        scores[deny] = -np.inf
        found = ranking(*[scores.tolist()] * histories.shape[0])
        return type(found)(found.items[:, :k], found.scores[:, :k])


def test_an_evaluated_model_has_its_list_and_then_the_rest_by_score() -> None:
    rules = Rules.of([{"item": 17, "pin": 1}, {"item": 11, "exclude": True}])
    reranking = Reranking(rules=rules, candidates=1)
    model = Reranked(Scores(), reranking.over(with_genres()), 2)
    found = model.top_k(histories(8, [], []), 8)
    assert found.items.tolist() == [[7, 0, 2, 3, 4, 5, 6, -1]] * 2
    assert model.top_k(histories(8, []), 1).items.tolist() == [[7]]
    assert model.top_k(histories(8, [7]), 3).items.tolist() == [[0, 2, 3]]
