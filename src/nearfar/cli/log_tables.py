"""A log's report on the terminal."""

from __future__ import annotations

from rich.table import Table

from nearfar.cli.output import table
from nearfar.core.memory import readable
from nearfar.data.inspect import LogReport


def log_tables(report: LogReport) -> list[Table]:
    """The report as tables: sizes, quantiles, ratings, filters, costs."""
    return [_sizes(report), _quantiles(report), _filters(report), _needs(report)]


def _reading(report: LogReport) -> list[list[str]]:
    """What the log was read as, and what was left out."""
    if report.read is None:
        return []
    read = report.read
    layout = f" ({read['layout']})" if read["layout"] else ""
    files = f", {len(read['files'])} files" if len(read["files"]) > 1 else ""
    rows = [["read as", f"{read['format']}{layout}{files}"]]
    roles = "  ".join(f"{role}: {column}" for role, column in read["columns"].items())
    rows += [["columns by role", roles]] if roles else []
    unused = read["unused_columns"]
    rows += [["columns not used", ", ".join(unused[:20])]] if unused else []
    rows += [["files not read", ", ".join(read["skipped_files"][:8])]] * bool(read["skipped_files"])
    rows += [["rows read", f"{read['n_rows']:,}"], ["rows kept", f"{read['n_kept']:,}"]]
    rows += [["left out", f"{n:,} rows: {reason}"] for reason, n in read["left_out"].items()]
    rows += [["converted", f"{n:,} values: {what}"] for what, n in read["converted"].items()]
    return rows + ([["times", read["times"]]] if read["times"] else [])


def _sizes(report: LogReport) -> Table:
    rows = [
        *_reading(report),
        ["users", f"{report.n_users:,}"],
        ["items", f"{report.n_items:,}"],
        ["interactions", f"{report.n_interactions:,}"],
        ["repeated events", f"{report.n_repeated:,}"],
        ["density", f"{report.density:.4%}"],
        ["columns", ", ".join([*report.columns, *report.item_details])],
    ]
    if report.first is not None and report.span_days is not None:
        rows.append(["time", f"{report.first} to {report.last} ({report.span_days:,.0f} days)"])
    if report.ratings is not None:
        shares = (f"{r}: {n / report.n_events:.1%}" for r, n in report.ratings.items())
        rows.append(["ratings", "  ".join(shares)])
    if report.zero_ratings:
        rows.append(["ratings of 0", f"{report.zero_ratings:.1%}; they count as ratings"])
    rows += [["dropped while reading", step] for step in report.dropped_while_reading]
    result = Table(title=report.name, title_justify="left", box=None, show_header=False)
    result.add_column()
    result.add_column(overflow="fold")
    for row in rows:
        result.add_row(*row)
    return result


def _quantiles(report: LogReport) -> Table:
    names = {"0.0": "least", "0.5": "median", "1.0": "most"}
    columns = ["\nquantile", *(names.get(q, q) for q in report.activity)]
    rows = [
        ["interactions per user", *(f"{v:,.0f}" for v in report.activity.values())],
        ["interactions per item", *(f"{v:,.0f}" for v in report.popularity.values())],
    ]
    return table(None, columns, rows)


def _filters(report: LogReport) -> Table:
    rows = [
        [d.filter, f"{d.events:,}", f"{d.users:,}", f"{d.items:,}",
         f"{d.left_users:,} x {d.left_items:,}"]
        for d in report.would_drop
    ]  # fmt: skip
    columns = ["\nfilter would drop", "interactions", "users", "items", "left"]
    return table(None, columns, rows)


def _needs(report: LogReport) -> Table:
    needs = report.needs
    hours = needs.mult_vae_hours
    time = "not measured" if hours is None else _duration(hours)
    rows = [
        ["EASE", readable(needs.ease_bytes), "seconds to minutes"],
        ["Mult-VAE, 200 epochs", readable(needs.mult_vae_bytes), f"about {time} on this CPU"],
    ]
    return table(None, ["\ntraining would take", "memory", "time"], rows)


def _duration(hours: float) -> str:
    if hours < 1 / 30:
        return f"{hours * 3600:.0f} s"
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:.1f} h"
