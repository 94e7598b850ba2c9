"""The commands, each imported when it is first needed: importing PyTorch takes seconds."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True)
class Command:
    """Where a command's function, or its group of commands, is.

    Args:
        module: below `nearfar.cli`.
        function: its function; "app" for a group.
        told: the first sentence of its help.
    """

    module: str
    function: str
    told: str


COMMANDS = {
    "demo": Command("demo", "demo", "Compare four algorithms on real MovieLens-100K."),
    "data": Command("data", "app", "Download data sets, inspect a log, split it."),
    "train": Command("train", "train", "Fit an algorithm and save a bundle."),
    "algorithms": Command(
        "algorithms", "algorithms", "List the algorithms, or describe the settings of one."
    ),
    "evaluate": Command("measure", "evaluate", "Measure a bundle on a split's held-out users."),
    "compare": Command("measure", "compare", "Compare bundles on the same held-out users."),
    "cross-validate": Command(
        "cross_validate", "cross_validate", "Measure algorithms on K folds of a log's users."
    ),
    "recommend": Command(
        "recommend",
        "recommend",
        "Recommend items for a typed history, for users of a log, or for a file.",
    ),
    "similar": Command("similar", "similar", "List the items most similar to an item."),
    "extend": Command(
        "extend", "extend", "Add items without interactions to a bundle, from their features."
    ),
    "reproduce": Command("reproduce", "reproduce", "Reproduce a table or figure of the paper."),
    "tune": Command("tune", "tune", "Search settings for the highest validation NDCG@100."),
    "autopilot": Command(
        "autopilot", "autopilot", "Find the best model of all families for a log."
    ),
    "serve": Command("serve", "serve", "Answer requests for recommendations over HTTP."),
    "export": Command(
        "export", "export", "Export a bundle as ONNX graphs, NumPy arrays, or vectors for an index."
    ),
    "index": Command(
        "index", "index", "Build an index of nearest items, for catalogues of a million items."
    ),
    "map": Command("map", "draw_map", "Draw the latent space of bundles."),
    "pipeline": Command("pipeline", "app", "Train weekly, publish, score daily."),
    "diagnose": Command(
        "diagnose", "diagnose_bundles", "Measure the paper's theory on a fitted model."
    ),
    "report": Command("report", "report_page", "Write one HTML page about bundles."),
    "abtest": Command("abtest", "app", "Plan, check and analyse an online A/B test."),
}


class LazyCommands(TyperGroup):
    """A group whose commands are imported one by one.

    `Any` where Typer names classes of its private copy of Click.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = COMMANDS.get(cmd_name)
        if found is None:
            return None
        value = getattr(importlib.import_module(f"nearfar.cli.{found.module}"), found.function)
        if not isinstance(value, typer.Typer):
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(cmd_name)(value)
            value = app
        command = typer.main.get_command(value)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, found.told) for name, found in COMMANDS.items()])
