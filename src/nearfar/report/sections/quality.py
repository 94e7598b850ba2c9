"""How good the bundles are: means with intervals, and differences user by user."""

from __future__ import annotations

from nearfar.core.errors import DataError
from nearfar.evaluation.paired import Paired, compare_all
from nearfar.evaluation.table import comparison_table, paired_table
from nearfar.evaluation.text import with_half_width
from nearfar.pages.charts import Chart
from nearfar.pages.markup import bullets, heading, paragraph, side_by_side, table
from nearfar.pages.section import Section
from nearfar.report.charts import Dot, dot_chart
from nearfar.report.measured import QUALITY
from nearfar.report.report import Report


def section(report: Report) -> Section:
    """Recall and NDCG of every bundle, and the gain of each over the first."""
    evaluations = report.evaluations
    first = next(iter(evaluations.values()))
    dropped = f"; {first.n_dropped:,} with nothing to find are left out" if first.n_dropped else ""
    parts = [
        paragraph(
            f"Measured on {first.n_users:,} test users{dropped}. Recall@k: the share of what could "
            "be found among k recommendations; NDCG@k also asks how high it stands."
        ),
        bullets(report.notes),
        side_by_side(chart.markup() for chart in _means(report)),
        table(comparison_table(evaluations, QUALITY, seed=report.options.seed), "Test users"),
    ]
    if len(evaluations) > 1:
        parts += _gains(report)
    return Section("quality", "Quality", "\n".join(parts))


def _means(report: Report) -> list[Chart]:
    charts = []
    for number, metric in enumerate(QUALITY):
        dots, words = [], []
        for colour, (title, one) in enumerate(report.evaluations.items()):
            mean, interval = one.mean(metric), one.interval(metric)
            low, high = (interval.low, interval.high) if interval else (None, None)
            dots.append(Dot(title, mean, low, high, colour))
            half_width = interval.half_width if interval else None
            words.append(f"{title} {with_half_width(mean, half_width, metric)}")
        name = f"{metric} with 95% intervals"
        told = f"{name}: {'; '.join(words)}."
        charts.append(Chart(f"quality-{number + 1}", name, told, dot_chart(dots, str(metric))))
    return charts


def _gains(report: Report) -> list[str]:
    baseline = next(iter(report.evaluations))
    title = heading(f"Gain over {baseline}, user by user")
    try:
        pairs = compare_all(report.evaluations, baseline, QUALITY, seed=report.options.seed)
    except DataError as error:
        return [title, paragraph(f"The bundles cannot be compared user by user: {error}.")]
    text = (
        "The same users are served by both, so that differences are known better than either "
        "mean. An interval that leaves 0 out is a difference that chance in the choice of users "
        "does not explain; p Holm is corrected for all comparisons here."
    )
    charts = side_by_side(chart.markup() for chart in _gain_charts(report, pairs))
    return [title, paragraph(text), charts, table(paired_table(pairs), "Paired tests")]


def _gain_charts(report: Report, pairs: list[Paired]) -> list[Chart]:
    colours = {title: number for number, title in enumerate(report.evaluations)}
    charts = []
    for number, metric in enumerate(QUALITY):
        own = [pair for pair in pairs if pair.metric == metric]
        dots = [
            Dot(
                pair.b, pair.difference, pair.interval.low if pair.interval else None,
                pair.interval.high if pair.interval else None, colours[pair.b],
            )
            for pair in own
        ]  # fmt: skip
        words = "; ".join(f"{pair.b} {pair.difference:+.4f}" for pair in own)
        charts.append(
            Chart(
                f"gain-{number + 1}", f"Gain in {metric}", f"Gain in {metric}: {words}.",
                dot_chart(dots, f"{metric} minus that of the baseline", reference=0.0),
            )
        )  # fmt: skip
    return charts
