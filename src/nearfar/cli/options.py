"""Options that several commands share, and the decorator that adds them to a command."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from nearfar.core.device import Device

Seed = Annotated[int, typer.Option("--seed", help="Random seed.")]
DeviceOption = Annotated[
    Device, typer.Option("--device", help="Device; auto uses CUDA if it is available.")
]

BundleOrRegistry = Annotated[
    Path, typer.Argument(help="A bundle's folder, or a registry for its current version.")
]
Level = Annotated[float, typer.Option("--level", help="Confidence level of intervals.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        metavar="TARGET",
        help="Log to an experiment tracker: mlflow:DIR or mlflow:URL, tensorboard:DIR, wandb or "
        "wandb:PROJECT; several times for several. Needs the extra track.",
    ),
]


def count_or_share(number: float) -> int | float:
    """Return a whole number as a count, any other number as a share."""
    return int(number) if number.is_integer() else number


def with_options(*, without: Collection[str] = ()) -> Callable[[Any], Any]:
    """Expand each parameter of a command that is a dataclass into one option per field.

    The command receives the dataclass: `output: Output` stands for --json, --quiet and --debug,
    `log_options: LogOptions` for all options that read a log.

    Args:
        without: fields that do not become options; they keep their defaults.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        groups: dict[str, tuple[type, list[str]]] = {}
        parameters: list[inspect.Parameter] = []
        for name, parameter in inspect.signature(command).parameters.items():
            group = hints[name]
            if not (isinstance(group, type) and is_dataclass(group)):
                kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
                parameters.append(parameter.replace(annotation=group, kind=kind))
                continue
            options = [field for field in fields(group) if field.name not in without]
            groups[name] = group, [field.name for field in options]
            types = get_type_hints(group, include_extras=True)
            parameters += [
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=field.default,
                    annotation=types[field.name],
                )
                for field in options
            ]

        @wraps(command)
        def run(**values: Any) -> Any:
            arguments = {
                name: group(**{field: values.pop(field) for field in names})
                for name, (group, names) in groups.items()
            }
            return command(**arguments, **values)

        del run.__wrapped__
        run.__doc__ = _keep_example_lines(inspect.getdoc(command) or "")
        run.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _keep_example_lines(text: str) -> str:
    """Mark the paragraphs of a help text that are commands, so that Click keeps their lines."""
    return "\n\n".join(
        f"\b\n{part}" if all(line.startswith("nearfar ") for line in part.splitlines()) else part
        for part in text.split("\n\n")
    )
