"""The pages of the documentation that are generated; `python -m tests.house.pages` writes them."""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

import nearfar
from nearfar.cli.commands import COMMANDS, LazyCommands
from nearfar.core import discovery
from nearfar.store.sinks.sink import PACKAGE as SINKS
from nearfar.store.sinks.sink import RecommendationSink
from nearfar.store.sources.source import PACKAGE as SOURCES
from nearfar.store.sources.source import EventSource
from tests.house.notebooks import TUTORIALS, notebook

DOCS = Path(__file__).parents[2] / "docs"
GROUPS = {
    "Data": ("nearfar.data", "nearfar.core.vocabulary"),
    "Algorithms": ("nearfar.algorithms",),
    "Training": ("nearfar.train", "nearfar.report.training_curves"),
    "Evaluation": ("nearfar.evaluation", "nearfar.metrics"),
    "Models and bundles": ("nearfar.models", "nearfar.bundle", "nearfar.core.ranking"),
    "Interfaces of parts": ("nearfar.vae",),
    "Experiments": ("nearfar.experiments", "nearfar.maps"),
    "Everything else": ("nearfar",),
}

ENTRIES = {
    "data": (
        "Data", "Logs, filters and splits.",
        ("nearfar.data", "nearfar.core.vocabulary"),
    ),
    "metrics": (
        "Metrics", "`nf.NDCG(100)`, `nf.Recall(20)`, or by name: \"NDCG@100\".", ("metrics",)
    ),
    "reranking": (
        "Re-ranking", "`nf.reranking`: choose lists from the best candidates.", ("reranking",)
    ),
    "models": (
        "Models", "The kinds of fitted models, and rankings.",
        ("nearfar.models", "nearfar.core.ranking"),
    ),
    "evaluation": (
        "Evaluation", "Evaluations, comparisons, paired tests.", ("nearfar.evaluation",)
    ),
    "train": (
        "Training", "Options of a run, its history, and training curves.",
        ("nearfar.train", "nearfar.report.training_curves"),
    ),
    "algorithms": (
        "Algorithms", "Sixteen algorithms and Personalized Item Alignment.",
        ("nearfar.algorithms",),
    ),
    "bundle": ("Bundles", "Save a model, load it, and recommend from it.", ("nearfar.bundle",)),
    "priors": ("Priors", "`nf.priors`: the prior p(z) of an autoencoder.", ("priors",)),
    "encoders": ("Encoders", "`nf.encoders`: compute a posterior from a history.", ("encoders",)),
    "corruptions": (
        "Corruptions", "`nf.corruptions`: mask or drop items of the input.", ("corruptions",)
    ),
    "likelihoods": (
        "Likelihoods", "`nf.likelihoods`: the reconstruction term of the loss.", ("likelihoods",)
    ),
    "initialisers": (
        "Initialisers", "`nf.initialisers`: the initial weights of a training.",
        ("initialisers",),
    ),
    "schedules": (
        "Schedules", "`nf.schedules`: loss weights and learning rates over time.", ("schedules",)
    ),
    "errors": ("Errors", "The exceptions that nearfar raises.", ("nearfar.core.errors",)),
    "tables": ("Tables", "How files are read: options and report of `read_log`.", ()),
    "theory": (
        "Theory", "The paper's statements as functions. `nf.diagnose` measures all of them.", ()
    ),
    "abtest": ("A/B tests", "Plan, check and analyse an A/B test.", ()),
    "store": ("Stores", "Sources of events and sinks of recommendations.", ()),
    "jobs": ("Jobs", "Weekly training, gates, publishing, daily scoring.", ()),
    "cluster": ("Cluster", "Training and scoring on Ray.", ()),
    "experiments": (
        "Experiments", "Autopilot, tuning, diagnosis, maps, and the paper's tables.",
        ("nearfar.experiments", "nearfar.maps"),
    ),
}  # fmt: skip
"""Page of the reference -> title, text, and the namespace or homes of its names."""


def _parts(package: str, base: type[Any]) -> list[str]:
    """The dotted paths of the parts that are found in a package."""
    return [f"{c.__module__}.{c.__name__}" for c in discovery.discover(package, base).values()]


MORE = {
    "metrics": ("nearfar.metrics.metric.parse_metric",),
    "models": ("nearfar.vae.posterior.DiagonalGaussian",),
    "likelihoods": ("nearfar.vae.step.Step", "nearfar.vae.likelihoods.likelihood.TrainingCounts"),
    "tables": (
        "nearfar.tables.table.ReadOptions", "nearfar.tables.dialect.TextOptions",
        "nearfar.tables.rules.RowRules", "nearfar.tables.columns.Columns",
        "nearfar.tables.report.ReadReport", "nearfar.tables.raw.RawFiles",
    ),
    "theory": (
        "nearfar.theory.masking.MaskedDistance", "nearfar.theory.masking.pairwise_overlap",
        "nearfar.theory.transport.w2", "nearfar.theory.transport.pairwise_distance",
        "nearfar.theory.transport.sampled_w1",
        "nearfar.theory.health.latent_health", "nearfar.theory.mutual_information.decompose_kl",
        "nearfar.theory.collaboration.jaccard_distance", "nearfar.theory.diagnosis.Diagnosis",
        "nearfar.theory.instrument.Finding", "nearfar.theory.instrument.all_instruments",
    ),
    "abtest": (
        "nearfar.abtest.assignment.Experiment", "nearfar.abtest.assignment.read_experiment",
        "nearfar.abtest.logs.read_logs", "nearfar.abtest.simulate.Simulation",
        "nearfar.abtest.simulate.simulate_logs", "nearfar.abtest.plan.make_plan",
        "nearfar.abtest.plan_settings.PlanSettings", "nearfar.abtest.checks.check_logs",
        "nearfar.abtest.checks.sample_ratio_p", "nearfar.abtest.analysis.analyse",
        "nearfar.abtest.analysis.AnalysisSettings",
    ),
    "store": (
        "nearfar.store.contracts.Contract", "nearfar.store.sources.source.EventSource",
        "nearfar.store.sources.source.make_source", *_parts(SOURCES, EventSource),
        "nearfar.store.event_rows.EventRows",
        "nearfar.store.sinks.sink.RecommendationSink", "nearfar.store.sinks.sink.make_sink",
        *_parts(SINKS, RecommendationSink),
    ),
    "jobs": (
        "nearfar.jobs.pipeline.read_pipeline", "nearfar.jobs.pipeline.make_pipeline",
        "nearfar.jobs.pipeline.Pipeline", "nearfar.jobs.pipeline_sections.TrainSection",
        "nearfar.jobs.pipeline_sections.ScoreSection", "nearfar.jobs.pipeline_sections.Retention",
        "nearfar.jobs.item_details.ItemDetails", "nearfar.jobs.gates.Gates",
        "nearfar.jobs.gates.Verdict", "nearfar.jobs.run_due.run_due",
        "nearfar.jobs.run_due.RunResult", "nearfar.jobs.train_weekly.train_weekly",
        "nearfar.jobs.train_weekly.Trained", "nearfar.jobs.score_daily.score_daily",
        "nearfar.jobs.score_daily.Scored", "nearfar.jobs.publish.publish",
        "nearfar.jobs.publish.rollback", "nearfar.jobs.retention.remove_day",
        "nearfar.jobs.registry.Registry", "nearfar.jobs.registry.Version",
        "nearfar.jobs.status.status",
    ),
    "cluster": (
        "nearfar.cluster.workers.Workers", "nearfar.cluster.histories.describe_histories",
        "nearfar.cluster.fit.fit_histories", "nearfar.cluster.score.ScoreRequest",
        "nearfar.cluster.score.score_histories",
    ),
    "experiments": (
        "nearfar.experiments.tuning.trials.Tuned",
        "nearfar.experiments.reproduction.datasets.data_set",
        "nearfar.experiments.reproduction.study.StudyPlan",
        "nearfar.experiments.reproduction.reproduce.reproduce",
    ),
}  # fmt: skip
"""Page of the reference -> names that are not at the top, as dotted paths."""


def pages() -> dict[Path, str]:
    """The generated pages and their text."""
    reference = DOCS / "reference"
    found = {reference / "names.md": names(), reference / "commands.md": commands()}
    found |= {reference / f"{page}.md": entries(page) for page in ENTRIES}
    tutorials = [DOCS / "tutorials" / f"{name}.md" for name in TUTORIALS]
    return found | {page.with_suffix(".ipynb"): notebook(page) for page in tutorials}


def paths_of(page: str) -> list[str]:
    """The names on a page of the reference, as dotted paths."""
    _, _, prefixes = ENTRIES[page]
    if prefixes and prefixes[0] in nearfar._NAMESPACES:
        module = importlib.import_module(f"nearfar.{prefixes[0]}")
        paths = [
            f"{value.__module__}.{name}"
            for name, value in vars(module).items()
            if inspect.isclass(value) and value.__module__.startswith("nearfar.")
        ]
    else:
        homes = nearfar._HOME_OF.items()
        paths = [f"{home}.{name}" for name, home in homes if prefixes and home.startswith(prefixes)]
    paths += MORE.get(page, ())
    return sorted(paths, key=lambda path: path.rpartition(".")[2].lower())


def entries(page: str) -> str:
    """A page of the reference: each public name with its import path."""
    title, text, _ = ENTRIES[page]
    lines = [f"# {title}", "", text, ""]
    for path in paths_of(page):
        lines += [f"::: {path}", "    options:", "      show_root_heading: true",
                  "      show_root_full_path: true", ""]  # fmt: skip
    return "\n".join(lines)


def names() -> str:
    """All public names with their import and the first line of their docstring."""
    lines = [
        "# All public names",
        "",
        "`import nearfar as nf` gives all names that begin with `nf.`; each is imported on first",
        "use. The last column has its import path, which is also its name in the reference. Names",
        "that are not on this page are internal and may change.",
        "",
        "*Generated from the docstrings by `python -m tests.house.pages`.*",
    ]
    left = dict(nearfar._HOME_OF)
    for title, prefixes in GROUPS.items():
        chosen = [name for name, home in left.items() if home.startswith(prefixes)]
        if chosen:
            lines += ["", f"## {title}", "", "| name | what it is | import |", "|---|---|---|"]
        for name in sorted(chosen, key=str.lower):
            home = left.pop(name)
            lines.append(_row(f"nf.{name}", home, getattr(nearfar, name)))
    for space in nearfar._NAMESPACES:
        module = importlib.import_module(f"nearfar.{space}")
        lines += ["", f"## nf.{space}", "", str(module.__doc__).strip(), ""]
        lines += ["| name | what it is | import |", "|---|---|---|"]
        for name, value in vars(module).items():
            if inspect.isclass(value) and value.__module__.startswith("nearfar."):
                lines.append(_row(f"nf.{space}.{name}", value.__module__, value))
    lines += ["", "## By their full path", "", "These names are needed less often.", ""]
    lines += ["| name | what it is | import |", "|---|---|---|"]
    for page in MORE:
        for path in MORE[page]:
            home, _, name = path.rpartition(".")
            value = getattr(importlib.import_module(home), name)
            lines.append(_row(f"[{name}]({page}.md)", home, value))
    return "\n".join(lines) + "\n"


def _row(name: str, home: str, value: Any) -> str:
    first = inspect.cleandoc(value.__doc__ or "").split("\n\n")[0]
    text = " ".join(first.split()).replace("|", "\\|")
    name = name if name.startswith("[") else f"`{name}`"
    return f"| {name} | {text} | `from {home} import {value.__name__}` |"


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
    group = LazyCommands(name="nearfar")
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
