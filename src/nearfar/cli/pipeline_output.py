"""Format the output of `nearfar pipeline`: JSON for schedulers, text for people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from rich.table import Table

from nearfar.cli.output import Output, table
from nearfar.core.secrets import masked
from nearfar.jobs.gates import Verdict
from nearfar.jobs.run_due import RunResult
from nearfar.jobs.score_daily import Scored
from nearfar.jobs.train_weekly import Trained


def training_json(found: Trained) -> dict[str, Any]:
    """Return a training as JSON values."""
    return {
        "version": found.version.name, "passed": found.passed, "warm": found.warm,
        "seconds": found.seconds, "gates": [v.to_dict() for v in found.verdicts],
        "metrics": found.version.record["metrics"], "remarks": list(found.remarks),
    }  # fmt: skip


def run_json(found: RunResult) -> dict[str, Any]:
    """Return a run as JSON values, with `error` and `kind` if its training failed."""
    return {
        "trained": None if found.trained is None else training_json(found.trained),
        "published": found.published,
        "scored": dict(vars(found.scored)),
        **({} if found.failure is None else error_json(found.failure)),
    }


def error_json(error: Exception) -> dict[str, str]:
    """Return an error as JSON values: its message and its class."""
    text = " ".join(masked(str(error)).split())
    return {"error": text or type(error).__name__, "kind": type(error).__name__}


def training_text(found: Trained) -> list[Table | str]:
    """Return the gates of a training as text."""
    outcome = "passed" if found.passed else "was refused; the version that was current still is"
    return [
        "\n".join(
            f"{_outcome(v):8}  {v.gate:20}  {v.measured} ({v.allowed}); {v.message}"
            for v in found.verdicts
        ),
        *(f"remark: {remark}" for remark in found.remarks),
        f"{found.version.name} {outcome}; {found.seconds:.0f} s",
        *_refusal_advice(found),
    ]


def _refusal_advice(found: Trained) -> list[str]:
    """Return what to do about a refused candidate."""
    if found.passed:
        return []
    failed = " ".join(f"--accept {v.gate}" for v in found.verdicts if not v.passed)
    return [
        f"where the change is wanted: nearfar pipeline publish {found.version.name} --force; or "
        f"train with {failed}"
    ]


def _outcome(verdict: Verdict) -> str:
    return "accepted" if verdict.accepted else "passed" if verdict.passed else "REFUSED"


def run_text(found: RunResult) -> list[Table | str]:
    """Return a run as text."""
    parts = training_text(found.trained) if found.trained is not None else []
    if found.published is not None:
        parts.append(f"{found.published} is current")
    parts.append(scoring_text(found.scored))
    if found.failure is not None:
        day, version = found.scored.as_of, found.scored.version
        parts.append(
            f"{day}: titles, training or publishing FAILED ({masked(str(found.failure))}); "
            f"the day is published all the same, by {version}, which was current before"
        )
    return parts


def scoring_text(found: Scored) -> str:
    """Return a scoring as text."""
    if found.already:
        return f"published already, by {found.version}"
    popular = f"; {found.n_unknown:,} of them got what is popular" if found.n_unknown else ""
    return f"{found.n_users:,} users scored by {found.version} in {found.seconds:.0f} s{popular}"


def status_text(found: dict[str, Any]) -> list[Table | str]:
    """Return the result of `status` as text."""
    names = list(dict.fromkeys(name for v in found["versions"] for name in v["metrics"]))
    rows = [
        [
            v["version"], "current" if v["current"] else "", "passed" if v["passed"] else "refused",
            *(f"{v['metrics'][n]:.4f}" if n in v["metrics"] else "-" for n in names),
            ", ".join(v["failed_gates"]),
        ]
        for v in found["versions"]
    ]  # fmt: skip
    lines = [_last_run(job, event) for job, event in found["last"].items()]
    age = found["age_seconds"]
    current = (
        "nothing is published yet"
        if age is None
        else f"{found['current']} is current, {age / 86_400:.1f} days old"
    )
    lines += [f"a training of {day} is unfinished" for day in found["unfinished"]]
    return [
        table(None, ["version", "", "gates", *names, "refused by"], rows, left=3),
        "\n".join([current, *lines]),
    ]


def _last_run(job: str, event: dict[str, Any]) -> str:
    """Return a line about how the last run of a job ended."""
    detail = event["detail"]
    parts = [f"{job}: {event['outcome']} at {event['at']}"]
    if event["as_of"]:
        parts.append(f" for {event['as_of']}")
    if event["version"]:
        parts.append(f", version {event['version']}")
    if "left" in detail:
        parts.append(f" in place of {detail['left']}")
    if "reason" in detail:
        parts.append(f", {detail['reason']}")
    if "training_failed" in detail:
        parts.append(f", although its training failed: {detail['training_failed']}")
    parts += [
        f"; left out: {n:,} rows: {reason.partition(' (')[0]}"
        for reason, n in detail.get("left_out", {}).items()
    ]
    if detail.get("rejected"):
        parts.append(f"; rejected by the contract: {detail['rejected']:,} rows (see quarantine)")
    return "".join(parts)


@contextlib.contextmanager
def errors_as_json(output: Output) -> Iterator[None]:
    """Print an error in the block as the JSON object with --json; raise it in any case."""
    try:
        yield
    except Exception as error:
        if output.as_json:
            output.result(error_json(error))
        raise
