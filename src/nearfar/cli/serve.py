"""`nearfar serve`."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nearfar.cli.options import with_options
from nearfar.cli.output import Output
from nearfar.cli.rerank_options import RerankOptions
from nearfar.core.errors import SettingsError
from nearfar.core.extras import require, require_torch

LIBRARIES = ("starlette", "pydantic", "uvicorn", "httptools", "orjson")


@with_options(without=("as_json",))
def serve(
    bundle: Annotated[
        list[Path] | None,
        typer.Option(
            "--bundle",
            help="A bundle's folder; may be given several times, to serve several models.",
        ),
    ] = None,
    registry: Annotated[
        Path | None,
        typer.Option("--registry", help="A pipeline's registry: serve its current version."),
    ] = None,
    index: Annotated[
        list[Path] | None,
        typer.Option(
            "--index",
            help="A folder of nearfar index, for the bundle it belongs to; several times.",
        ),
    ] = None,
    runtime: Annotated[
        Literal["torch", "onnx"],
        typer.Option(
            "--runtime", help="torch serves bundles; onnx serves ONNX exports, without PyTorch."
        ),
    ] = "torch",
    store: Annotated[
        str | None,
        typer.Option(
            "--store", help="Precomputed recommendations: a database's URL or a Parquet folder."
        ),
    ] = None,
    store_ids: Annotated[
        Literal["text", "integer"],
        typer.Option("--store-ids", help="Type of the ids in the store."),
    ] = "text",
    histories: Annotated[
        Path | None,
        typer.Option("--histories", help="Histories of known users: CSV, Parquet or JSON lines."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="A split folder; the map shows its users.")
    ] = None,
    items: Annotated[
        Path | None,
        typer.Option(
            "--items",
            help="Titles and genres for bundles without them: CSV or Parquet with columns item, "
            "title, genres.",
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", help="An HTML file written by nearfar report, served at /report."),
    ] = None,
    experiment: Annotated[
        Path | None, typer.Option("--experiment", help="A TOML file of an A/B test.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", help="The port to listen on; 0 takes any free port.", min=0, max=65_535
        ),
    ] = 8000,
    threads: Annotated[
        int | None,
        typer.Option(
            "--threads",
            help="Number of threads that compute; by default one less than the processors.",
            min=1,
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(
            "--queue",
            help="Maximum number of waiting histories; further requests get status 429.",
            min=1,
        ),
    ] = 512,
    batch: Annotated[
        int, typer.Option("--batch", help="Maximum number of histories per batch.", min=1)
    ] = 32,
    wait_ms: Annotated[
        float,
        typer.Option(
            "--wait-ms",
            help="Milliseconds that the first request of a batch waits for others.",
            min=0,
        ),
    ] = 2.0,
    deadline: Annotated[
        float,
        typer.Option(
            "--deadline", help="Seconds until a request is answered with status 504.", min=0.001
        ),
    ] = 2.0,
    max_body: Annotated[
        int,
        typer.Option(
            "--max-body",
            help="Maximum bytes of a request's body; larger ones get status 413.",
            min=1,
        ),
    ] = 1 << 20,
    body_seconds: Annotated[
        float,
        typer.Option(
            "--body-seconds",
            help="Seconds for a request to arrive; slower ones get status 408.",
            min=0.001,
        ),
    ] = 10.0,
    watch_seconds: Annotated[
        float,
        typer.Option("--watch-seconds", help="Seconds between checks of the registry.", min=0.01),
    ] = 2.0,
    drain_seconds: Annotated[
        float,
        typer.Option(
            "--drain-seconds", help="Seconds to finish requests in progress when stopped.", min=1
        ),
    ] = 30.0,
    reranked: RerankOptions = RerankOptions(),
    *,
    output: Output,
) -> None:
    """Answer requests for recommendations over HTTP.

    /openapi.json describes the interface. Two environment variables are optional: NEARFAR_TOKEN,
    the bearer token that requests must then have, and NEARFAR_CORS_ORIGINS, comma-separated
    origins of pages elsewhere. Logs are JSON lines on stderr, without personal data. SIGTERM and
    Ctrl-C stop the service once the requests in progress are answered.
    """
    require(*LIBRARIES, extra="serve", purpose="the service")
    if runtime == "torch":
        require_torch()
    from nearfar.abtest.assignment import read_experiment
    from nearfar.cli.inputs import bundles_by_name
    from nearfar.web.logs import to_stream
    from nearfar.web.server import serve as listen
    from nearfar.web.settings import Limits, ServiceSettings, from_environment, open_store

    if not bundle and registry is None:
        raise typer.BadParameter("give a --bundle or a --registry", param_hint="--bundle")
    token, origins = from_environment(os.environ)
    options = {} if threads is None else {"threads": threads}
    limits = Limits(
        batch_users=batch, wait_seconds=wait_ms / 1000, queue_users=queue,
        deadline_seconds=deadline, body_bytes=max_body, body_seconds=body_seconds,
        watch_seconds=watch_seconds, drain_seconds=drain_seconds,
    )  # fmt: skip
    settings = ServiceSettings(
        bundles=bundles_by_name(bundle or []),
        registry=registry,
        indices=tuple(index or ()),
        runtime=runtime,
        store=None if store is None else open_store(store, store_ids),
        histories=histories,
        data=data,
        items=items,
        report=report,
        experiment=None if experiment is None else read_experiment(experiment),
        rerank=reranked.rerank,
        rules=reranked.rules,
        candidates=reranked.candidates,
        token=token,
        origins=origins,
        limits=limits,
        **options,
    )
    if registry is not None and not registry.is_dir():
        problem = "is a file" if registry.exists() else "does not exist"
        raise SettingsError(f"{registry} {problem}; give the folder of a pipeline's registry")
    if store is not None and "://" not in store and not Path(store).exists():
        output.warning(
            f"{store} does not exist yet: there are no stored recommendations until a day is "
            "published there"
        )
    if sys.stderr.isatty():
        address = f"http://{host}:{port}" if port else "the port in the log"
        output.remark(f"nearfar serves at {address}; Ctrl-C stops it")
    to_stream(level=logging.WARNING if output.quiet else logging.INFO)
    listen(settings, host, port)
