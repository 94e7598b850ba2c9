"""Rule files: boosts, pins, exclusions and quotas, by item or genre."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nearfar.core import settings
from nearfar.core.errors import SettingsError, UnknownNameError

FIELDS = ("item", "genre", "boost", "pin", "exclude", "at_most", "at_least")
ANY = "*"
YES, NO = ("yes", "true", "1"), ("no", "false", "0")
HEADER = re.compile(r"^\s*\[\[\s*\"?rule\"?\s*\]\]", re.MULTILINE)
EXAMPLES = {"pin": "1 for the first place", "at_most": "3", "at_least": "1"}


@dataclass(frozen=True)
class Rule:
    """A rule for an item, or for all items of a genre.

    Args:
        where: name of the rule in messages, such as "rules.csv, line 3".
        item: id of the item.
        genre: name of the genre; "*" means each genre, with `at_most` only.
        boost: added to the relevance, which ranges from 0 for the last candidate by score to 1 for
            the best; a negative boost demotes.
        pin: place, from 1, of the item, or of the best candidate of the genre.
        exclude: whether never to recommend it.
        at_most: most items of the genre in a list.
        at_least: least items of the genre in a list, if there are enough candidates.
    """

    where: str
    item: str | None = None
    genre: str | None = None
    boost: float = 0.0
    pin: int | None = None
    exclude: bool = False
    at_most: int | None = None
    at_least: int | None = None


@dataclass(frozen=True)
class Rules:
    """The rules of a file, or of a list of mappings; see `read_rules`.

    Examples:
        >>> rules = nf.reranking.Rules.of([{"item": 7, "pin": 1}, {"item": 5, "exclude": True}])
        >>> ranking = nf.recommend(bundle, [[0, 3]], k=3, rerank=rules)
        >>> bundle.items.ids[int(ranking.items[0, 0])]
        7
    """

    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, rules: Iterable[Mapping[str, Any]]) -> Rules:
        """Return rules from mappings, such as `[{"genre": "Horror", "boost": -0.3}]`.

        Raises:
            SettingsError: a rule is wrong; the message has its number.
        """
        return _parsed_rules((f"rule {n}", rule) for n, rule in enumerate(rules, start=1))


def read_rules(path: str | Path) -> Rules:
    """Read a rule file.

    A TOML file has one table `[[rule]]` per rule; a CSV file has one row per rule, with empty
    cells for fields that are not set. The fields are those of `Rule`: item or genre, and boost,
    pin, exclude, at_most or at_least.

    Raises:
        SettingsError: the file is missing or neither .toml nor .csv, or a rule is wrong; the
            message has its line.

    Examples:
        >>> n = Path("rules.toml").write_text("[[rule]]\\nitem = 7\\npin = 1\\n")
        >>> nf.reranking.read_rules("rules.toml").rules[0].pin
        1
    """
    path = Path(path)
    if path.suffix.lower() == ".toml":
        return _parsed_rules(_toml(path))
    if path.suffix.lower() == ".csv":
        return _parsed_rules(_csv(path))
    raise SettingsError(f"{path} ends in {path.suffix!r}; rules are read from .toml and .csv")


def _toml(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    values = settings.read_toml(path)
    for name in values:
        if name != "rule":
            raise UnknownNameError(f"section of {path}", name, ["rule"])
    rules = values.get("rule", [])
    if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
        raise SettingsError(f"{path}: rule is {rules!r}; write each rule as a table [[rule]]")
    text = path.read_text(encoding="utf-8")
    lines = [text.count("\n", 0, m.end()) + 1 for m in HEADER.finditer(text)]
    for n, rule in enumerate(rules):
        line = f"line {lines[n]}" if len(lines) == len(rules) else f"rule {n + 1}"
        yield f"{path}, {line}", rule


def _csv(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            for name in header:
                if name not in FIELDS:
                    raise UnknownNameError(f"column of {path}, line 1,", name, FIELDS)
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) > len(header):
                    raise SettingsError(
                        f"{where} has {len(row)} cells, but the header has {len(header)} columns; "
                        "put text with a comma in double quotes"
                    )
                cells = zip(header, row, strict=False)
                yield where, {name: cell.strip() for name, cell in cells if cell.strip()}
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist; give the path of a rule file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError(f"{path} cannot be read as CSV: {error}") from None


def _parsed_rules(rules: Iterable[tuple[str, Mapping[str, Any]]]) -> Rules:
    parsed: list[Rule] = []
    pinned: dict[int | str, str] = {}
    for where, values in rules:
        rule = _rule(where, values)
        for key in (rule.pin, rule.item) if rule.pin is not None else ():
            if key in pinned:
                name = f"place {key}" if key == rule.pin else f"item {key!r}"
                raise SettingsError(
                    f"{where}: {name} is already pinned in {pinned[key]}; remove one"
                )
            if key is not None:
                pinned[key] = where
        parsed.append(rule)
    return Rules(tuple(parsed))


def _rule(where: str, values: Mapping[str, Any]) -> Rule:
    for name in values:
        if name not in FIELDS:
            raise UnknownNameError(f"field of a rule ({where})", str(name), FIELDS)
    rule = Rule(
        where,
        item=_text(values.get("item"), where, "item"),
        genre=_text(values.get("genre"), where, "genre"),
        boost=_number(values.get("boost", 0.0), where),
        pin=_whole(values.get("pin"), where, "pin", 1),
        exclude=_flag(values.get("exclude", False), where),
        at_most=_whole(values.get("at_most"), where, "at_most", 0),
        at_least=_whole(values.get("at_least"), where, "at_least", 1),
    )
    _check_together(rule, values.keys())
    return rule


def _check_together(rule: Rule, fields: Iterable[str]) -> None:
    """Check that the fields of one rule go together."""
    fields = set(fields)
    actions = fields - {"item", "genre"}
    quota = sorted(fields & {"at_most", "at_least"})
    problem = None
    if (rule.item is None) == (rule.genre is None):
        problem = "name an item or a genre, exactly one of them"
    elif not actions or (actions == {"exclude"} and not rule.exclude):
        problem = f"it does nothing; give one of {', '.join(FIELDS[2:])}"
    elif rule.item is not None and quota:
        problem = f"{quota[0]} counts items of a genre; name a genre instead of an item"
    elif rule.exclude and len(actions) > 1:
        problem = f"it has both exclude and {sorted(actions - {'exclude'})[0]}; remove one"
    elif rule.genre == ANY and actions != {"at_most"}:
        problem = "the genre * works with at_most only; name a genre"
    elif rule.at_most is not None and rule.at_least is not None and rule.at_most < rule.at_least:
        problem = f"at_most {rule.at_most} is below at_least {rule.at_least}; change one of them"
    if problem is not None:
        raise SettingsError(f"{rule.where}: {problem}")


def _text(value: Any, where: str, name: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise SettingsError(f"{where}: {name} is {value!r}; expected an id or name")
    return str(value).strip()


def _number(value: Any, where: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise SettingsError(f"{where}: boost is {value!r}; expected a number such as 0.2 or -0.5")
    return number


def _whole(value: Any, where: str, name: str, least: int) -> int | None:
    if value is None:
        return None
    whole = int(value) if isinstance(value, str) and value.isdecimal() else value
    if isinstance(whole, bool) or not isinstance(whole, int) or whole < least:
        raise SettingsError(
            f"{where}: {name} is {value!r}; expected a whole number of at least {least}, such as "
            f"{EXAMPLES[name]}"
        )
    return whole


def _flag(value: Any, where: str) -> bool:
    if isinstance(value, str) and value.lower() in (*YES, *NO):
        return value.lower() in YES
    if not isinstance(value, bool):
        raise SettingsError(f"{where}: exclude is {value!r}; expected true or false")
    return value
