"""The options of all commands that re-rank."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nearfar.reranking.reranking import Reranking


@dataclass(frozen=True)
class RerankOptions:
    """The options for re-ranking; each field is an option of the command."""

    rerank: Annotated[
        str | None,
        typer.Option(
            "--rerank",
            help="Re-rank by mmr, dpp or calibrated, with settings as in 'mmr diversity=0.3 "
            "by=genres'; see docs/guide/reranking.md.",
        ),
    ] = None
    rules: Annotated[
        Path | None,
        typer.Option(
            "--rules",
            help="A .toml or .csv file of rules by item or genre: boost, pin, exclude, at_most, "
            "at_least.",
        ),
    ] = None
    candidates: Annotated[
        int,
        typer.Option(
            "--candidates",
            help="Re-rank the best CANDIDATES x k items, at most 500.",
            min=1,
        ),
    ] = 10

    @property
    def reranking(self) -> Reranking | None:
        """The re-ranking given; None without one.

        Raises:
            SettingsError: a setting or the rule file is wrong.
        """
        return Reranking.if_any(self.rerank, self.rules, self.candidates)
