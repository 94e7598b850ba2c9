"""Whom the bundles serve well: users by number of interactions."""

from __future__ import annotations

from nearfar.evaluation.groups import parse_groups
from nearfar.evaluation.table import group_table
from nearfar.pages.charts import Chart
from nearfar.pages.markup import paragraph, side_by_side, table
from nearfar.pages.section import Section
from nearfar.report.charts import Bars, bar_chart
from nearfar.report.measured import QUALITY
from nearfar.report.report import Report

BOUNDS = parse_groups("5-10,11-50,51-100,101-")
"""The groups of the paper's Table 3, made not to overlap."""


def section(report: Report) -> Section:
    """The quality in each group of the paper's Table 3."""
    found = group_table(report.evaluations, BOUNDS, QUALITY, seed=report.options.seed)
    text = (
        "The test users in the groups of the paper's Table 3. A model that gains on average may "
        "lose where histories are short; small groups have wide intervals."
    )
    charts = side_by_side(chart.markup() for chart in _charts(report))
    body = [paragraph(text), charts, table(found, "Test users by number of interactions")]
    return Section("groups", "Groups of users", "\n".join(body))


def _charts(report: Report) -> list[Chart]:
    parts = {title: one.groups(BOUNDS) for title, one in report.evaluations.items()}
    names = [f"{group}\n({part.n_users:,})" for group, part in next(iter(parts.values())).items()]
    charts = []
    for number, metric in enumerate(QUALITY):
        bars, words = [], []
        for colour, (title, groups) in enumerate(parts.items()):
            means = [part.mean(metric) for part in groups.values()]
            intervals = [part.interval(metric) for part in groups.values()]
            errors = [interval.half_width if interval else None for interval in intervals]
            bars.append(Bars(title, means, colour, errors))
            told = (f"{g} {m:.4f}" for g, m in zip(groups, means, strict=True) if m == m)
            words.append(f"{title}: {', '.join(told) or 'nobody'}")
        charts.append(
            Chart(
                f"groups-{number + 1}", f"{metric} by number of interactions",
                f"{metric} by number of interactions. {'; '.join(words)}.",
                bar_chart(names, bars, "interactions (test users)", str(metric), at_most=1.0),
            )
        )  # fmt: skip
    return charts
