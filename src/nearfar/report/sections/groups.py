"""The section on groups of users by number of interactions."""

from __future__ import annotations

from nearfar.evaluation.groups import parse_groups
from nearfar.evaluation.table import group_table
from nearfar.pages.chart import Axis, BarChart, Bars
from nearfar.pages.page import Captioned, Charts, Section
from nearfar.report.report import QUALITY, Report

BOUNDS = parse_groups("5-10,11-50,51-100,101-")
"""The groups of the paper's Table 3, without overlap."""


def section(report: Report) -> Section:
    """Return the section with the quality in each group of the paper's Table 3."""
    table = group_table(report.evaluations, BOUNDS, QUALITY, seed=report.options.seed)
    text = (
        "The test users in the groups of the paper's Table 3. A model that gains on average may "
        "lose where histories are short; small groups have wide intervals."
    )
    caption = "Test users by number of interactions"
    blocks = [text, Charts(_charts(report)), Captioned(table, caption)]
    return Section("groups", "Groups of users", blocks)


def _charts(report: Report) -> list[BarChart]:
    by_model = {title: e.groups(BOUNDS) for title, e in report.evaluations.items()}
    first = next(iter(by_model.values()))
    names = [f"{group}\n({evaluation.n_users:,})" for group, evaluation in first.items()]
    charts = []
    for metric in QUALITY:
        bars = []
        for colour, (title, groups) in enumerate(by_model.items()):
            intervals = [evaluation.interval(metric) for evaluation in groups.values()]
            errors = [interval.half_width if interval else None for interval in intervals]
            bars.append(Bars(title, [g.mean(metric) for g in groups.values()], colour, errors))
        x, y = Axis("interactions (test users)"), Axis(str(metric))
        title = f"{metric} by number of interactions"
        charts.append(BarChart(title, names, bars, x, y, at_most=1.0))
    return charts
