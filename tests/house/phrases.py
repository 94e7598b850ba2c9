"""Phrases that the text of this project does not use, each with what to write instead.

`python -m tests.house.phrases` (part of `make lint`) prints where one stands and exits with 1.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = (
    "README.md", "CONTRIBUTING.md", "docs/**/*.md", "src/**/*.py", "src/**/*.toml", "src/**/*.js",
)  # fmt: skip

COUNTED = (
    "interactions|nats|latents|masks|recommendations|requests|entries|values?|numbers?|units|"
    "events|lines?|rows?|columns?|file|function|class|module|weights"
)
PER = "user|item|step|batch|day|line|worker|epoch|machine|bundle|cell|model|kind|metric|group"

PHRASES = {
    rf"\b(?:{COUNTED}) an? (?:{PER})\b(?! (?:has|is|takes|who)\b)": '"per user", "per step", ...',
    r"\b(?:users?|who|nobody|others) met (?:the |each |it\b|item)": '"interacted with"',
    r"\bitems? met\b|\bhaving met item\b": '"items the user interacted with"',
    r"\b(?:jobs?|requests|one|is|are) at work\b": '"running", "active" or "in progress"',
    r"\brows (?:at rest|that rest)\b": '"frozen rows"',
    r"\bforetold\b|\bforetell": '"predicted", or name the target',
    r"\bare borne\b": '"are tolerated"',
    r"\bwhoever's it is\b": '"for any user"',
    r"\b(?:date|address|description|path) is (?-i:none)\b": '"is not a valid date", "invalid URL"',
    r"\bat hand\b": '"available" or "given"',
    r"\bto be had\b|\bcan be had\b": '"is available"',
    r"\bappears? whole\b|\bwhole or not at all\b": '"atomically", "writes are atomic"',
    r"\bfixes everything that is random\b": '"random seed"',
    r"\bcut at commas\b": '"comma-separated"',
    r"\b(?:two|three|four) \w+ for (?:two|three|four)\b(?!-)": '"four products instead of three"',
    r"\bcounted to have had\b": '"smoothed by a pseudo-count"',
    r"\bmetrics: are told\b|\breport: is told\b": '"updated with ...", "filled with ..."',
    r"\btells of both\b": '"covers both"',
    r"\blearnt by heart\b": '"memorised"',
}
"""Regular expression, in which a space stands for any white space -> what to write instead."""

SPACE = r"""(?:\s|\#|"\s*f?")+"""
"""Also a line break within a comment or between two parts of a string."""

PATTERNS = [
    (re.compile(phrase.replace(" ", SPACE), re.IGNORECASE), instead)
    for phrase, instead in PHRASES.items()
]


def findings(text: str) -> list[tuple[int, str, str]]:
    """Return the line, the phrase and what to write instead, for each phrase in a text."""
    return sorted(
        (text.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), instead)
        for pattern, instead in PATTERNS
        for match in pattern.finditer(text)
    )


def all_findings() -> list[str]:
    """Return one message for each phrase in the code's and the documentation's text."""
    paths = sorted({path for place in PLACES for path in ROOT.glob(place)})
    return [
        f"{path.relative_to(ROOT)}:{line}: {phrase!r}; write {instead}"
        for path in paths
        for line, phrase, instead in findings(path.read_text())
    ]


if __name__ == "__main__":
    messages = all_findings()
    sys.stdout.write("".join(f"{message}\n" for message in messages))
    sys.exit(1 if messages else 0)
