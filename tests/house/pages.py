"""The pages of the documentation that are generated; `python -m tests.house.pages` writes them."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

import nearfar
from nearfar.cli.commands import COMMANDS, Lazy

DOCS = Path(__file__).parents[2] / "docs"
GROUPS = {
    "Data": ("nearfar.data", "nearfar.core.vocabulary"),
    "Algorithms": ("nearfar.algorithms",),
    "Training": ("nearfar.train", "nearfar.report.training_curves"),
    "Evaluation": ("nearfar.evaluation", "nearfar.metrics"),
    "Models and bundles": ("nearfar.models", "nearfar.bundle", "nearfar.core.ranking"),
    "Interfaces of parts": ("nearfar.vae",),
    "Everything else": ("nearfar",),
}


ENTRIES = {
    "data": (
        "Data", "From logs to histories: logs, filters, splits.",
        ("nearfar.data", "nearfar.core.vocabulary"),
    ),
    "metrics": (
        "Metrics", "`nf.NDCG(100)`, `nf.Recall(20)`, or by name, as \"NDCG@100\".", ("metrics",)
    ),
    "reranking": (
        "Re-ranking", "`nf.reranking`: lists chosen from the best candidates.", ("reranking",)
    ),
    "models": (
        "Models", "The few kinds of fitted models, and their rankings.",
        ("nearfar.models", "nearfar.core.ranking"),
    ),
    "evaluation": (
        "Evaluation", "Evaluations, comparisons, paired tests.", ("nearfar.evaluation",)
    ),
    "train": (
        "Training", "Options of a run, its history, and curves.",
        ("nearfar.train", "nearfar.report.training_curves"),
    ),
    "algorithms": (
        "Algorithms", "Sixteen algorithms and Personalized Item Alignment.",
        ("nearfar.algorithms",),
    ),
    "bundle": ("Bundles", "The saved model, and recommending from it.", ("nearfar.bundle",)),
    "priors": ("Priors", "`nf.priors`: the prior p(z) of an autoencoder.", ("priors",)),
    "encoders": ("Encoders", "`nf.encoders`: from a history to a posterior.", ("encoders",)),
    "corruptions": (
        "Corruptions", "`nf.corruptions`: what a step sees of a history.", ("corruptions",)
    ),
    "likelihoods": (
        "Likelihoods", "`nf.likelihoods`: how well scores explain a history.", ("likelihoods",)
    ),
    "initialisers": (
        "Initialisers", "`nf.initialisers`: the weights that training starts from.",
        ("initialisers",),
    ),
    "schedules": (
        "Schedules", "`nf.schedules`: loss weights and learning rates over time.", ("schedules",)
    ),
}  # fmt: skip
"""Page of the reference -> title, text, and the namespace or homes of its names."""


def pages() -> dict[Path, str]:
    """The generated pages and their text."""
    reference = DOCS / "reference"
    found = {reference / "names.md": names(), reference / "commands.md": commands()}
    return found | {reference / f"{page}.md": entries(page) for page in ENTRIES}


def entries(page: str) -> str:
    """A page of the reference: each public name with its import path."""
    title, text, prefixes = ENTRIES[page]
    if prefixes[0] in nearfar._NAMESPACES:
        module = importlib.import_module(f"nearfar.{prefixes[0]}")
        paths = [
            f"{value.__module__}.{name}"
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__.startswith("nearfar.")
        ]
    else:
        homes = nearfar._HOME_OF.items()
        paths = [f"{home}.{name}" for name, home in homes if home.startswith(prefixes)]
    lines = [f"# {title}", "", text, ""]
    for path in sorted(paths, key=lambda path: path.rpartition(".")[2].lower()):
        lines += [f"::: {path}", "    options:", "      show_root_heading: true",
                  "      show_root_full_path: true", ""]  # fmt: skip
    return "\n".join(lines)


def names() -> str:
    """All public names with their import and the first line of their docstring."""
    lines = [
        "# All public names",
        "",
        "`import nearfar as nf` gives all of these; a name is imported when it is first used. The",
        "second column is where it lives and where its reference is. Everything else is internal",
        "and may change.",
        "",
        "*Generated from the docstrings by `python -m tests.house.pages`.*",
    ]
    left = dict(nearfar._HOME_OF)
    for title, prefixes in GROUPS.items():
        chosen = [name for name, home in left.items() if home.startswith(prefixes)]
        if chosen:
            lines += ["", f"## {title}", "", "| name | import | what it is |", "|---|---|---|"]
        for name in sorted(chosen, key=str.lower):
            home = left.pop(name)
            lines.append(_row(f"nf.{name}", home, getattr(nearfar, name)))
    for space in nearfar._NAMESPACES:
        module = importlib.import_module(f"nearfar.{space}")
        lines += ["", f"## nf.{space}", "", str(module.__doc__).strip(), ""]
        lines += ["| name | import | what it is |", "|---|---|---|"]
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__.startswith("nearfar."):
                lines.append(_row(f"nf.{space}.{name}", value.__module__, value))
    return "\n".join(lines) + "\n"


def _row(name: str, home: str, value: Any) -> str:
    first = inspect.cleandoc(value.__doc__ or "").split("\n\n")[0]
    text = " ".join(first.split()).replace("|", "\\|")
    return f"| `{name}` | `from {home} import {value.__name__}` | {text} |"


def commands() -> str:
    """All commands with their arguments and options."""
    lines = [
        "# The command line",
        "",
        "Every command has `--help`. Exit codes: 0 done, 1 failed for a reason that one line",
        "states, 2 wrong usage, 4 the gates refused a candidate, 130 Ctrl-C.",
        "",
        "*Generated from the program by `python -m tests.house.pages`.*",
    ]
    group = Lazy(name="nearfar")
    for name in COMMANDS:
        command = group.get_command(None, name)
        inner = getattr(command, "commands", {})
        lines += ["", f"## nearfar {name}", "", _text(command.help)]
        if not inner:
            lines += _options(command)
        for below, sub in sorted(inner.items()):
            lines += ["", f"### nearfar {name} {below}", "", _text(sub.help), *_options(sub)]
    return "\n".join(lines) + "\n"


def _text(help_text: str | None) -> str:
    """Help as Markdown: lines that are commands become code."""
    paragraphs = []
    for paragraph in inspect.cleandoc(help_text or "").replace("\b\n", "").split("\n\n"):
        rows = paragraph.splitlines()
        if all(row.strip().startswith("nearfar ") for row in rows):
            paragraph = "\n".join(["```sh", *(row.strip() for row in rows), "```"])
        paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _options(command: Any) -> list[str]:
    lines = ["", "| argument or option | what it is | default |", "|---|---|---|"]
    for parameter in command.params:
        if parameter.name == "help":
            continue
        if parameter.param_type_name == "argument":
            name = f"{(parameter.metavar or parameter.name.upper()).strip('[]')}"
        else:
            name = ", ".join([*parameter.opts, *parameter.secondary_opts])
        text = " ".join((getattr(parameter, "help", None) or "").split()).replace("|", "\\|")
        annotation = parameter.type_descriptor.annotation
        if get_origin(annotation) is Literal:
            text += f" One of {', '.join(map(str, get_args(annotation)))}."
        default = parameter.default
        if callable(default) or default is None or default is False or default == ():
            default = "required" if parameter.required else ""
        lines.append(f"| `{name}` | {text} | {f'`{default}`' if default != '' else ''} |")
    return lines


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
        typer.echo(path)
