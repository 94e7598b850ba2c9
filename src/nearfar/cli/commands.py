"""The commands, each imported when first needed, because importing PyTorch takes seconds."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True)
class Command:
    """Where to import a command, or a group of commands, from.

    Args:
        module: name of the module in `nearfar.cli`.
        function: name of the function in it; "app" for a group.
        summary: the first sentence of its help.
    """

    module: str
    function: str
    summary: str


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

    Types are `Any` where Typer uses classes of its private copy of Click.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        app = getattr(importlib.import_module(f"nearfar.cli.{entry.module}"), entry.function)
        if not isinstance(app, typer.Typer):
            function, app = app, typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(cmd_name)(function)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])
