"""The section on quality: means with intervals, and paired tests."""

from __future__ import annotations

from nearfar.core.errors import DataError
from nearfar.evaluation.intervals import Interval
from nearfar.evaluation.paired import Paired, compare_all
from nearfar.evaluation.table import comparison_table, paired_table
from nearfar.pages.chart import Axis, Dot, DotChart
from nearfar.pages.page import Block, Bullets, Captioned, Charts, Heading, Section
from nearfar.report.report import QUALITY, Report


def section(report: Report) -> Section:
    """Return the section with recall and NDCG of every bundle, and the gain over the first."""
    evaluations = report.evaluations
    first = next(iter(evaluations.values()))
    dropped = f"; {first.n_dropped:,} with nothing to find are left out" if first.n_dropped else ""
    blocks: list[Block] = [
        f"Measured on {first.n_users:,} test users{dropped}. Recall@k: the share of the held-out "
        "items among k recommendations; NDCG@k also counts how high they rank.",
        Bullets(report.notes),
        Charts(_means(report)),
        Captioned(comparison_table(evaluations, QUALITY, seed=report.options.seed), "Test users"),
    ]
    if len(evaluations) > 1:
        blocks += _gains(report)
    return Section("quality", "Quality", blocks)


def _means(report: Report) -> list[DotChart]:
    charts = []
    for metric in QUALITY:
        dots = [
            _dot(title, evaluation.mean(metric), evaluation.interval(metric), colour)
            for colour, (title, evaluation) in enumerate(report.evaluations.items())
        ]
        charts.append(DotChart(f"{metric} with 95% intervals", dots, Axis(str(metric))))
    return charts


def _gains(report: Report) -> list[Block]:
    baseline = next(iter(report.evaluations))
    title = Heading(f"Gain over {baseline}, user by user")
    try:
        pairs = compare_all(report.evaluations, baseline, QUALITY, seed=report.options.seed)
    except DataError as error:
        return [title, f"The bundles cannot be compared user by user: {error}."]
    text = (
        "The same users are served by both, so that differences are known better than either "
        "mean. An interval that leaves 0 out is a difference that chance in the choice of users "
        "does not explain; p Holm is corrected for all comparisons here."
    )
    charts = Charts(_gain_charts(report, pairs))
    return [title, text, charts, Captioned(paired_table(pairs), "Paired tests")]


def _gain_charts(report: Report, pairs: list[Paired]) -> list[DotChart]:
    colours = {title: number for number, title in enumerate(report.evaluations)}
    charts = []
    for metric in QUALITY:
        dots = [
            _dot(pair.b, pair.difference, pair.interval, colours[pair.b])
            for pair in pairs
            if pair.metric == metric
        ]
        x = Axis("gain over the baseline")
        charts.append(DotChart(f"Gain in {metric}", dots, x, reference=0.0))
    return charts


def _dot(name: str, value: float, interval: Interval | None, colour: int) -> Dot:
    if interval is None:
        return Dot(name, value, colour=colour)
    return Dot(name, value, interval.low, interval.high, colour)
