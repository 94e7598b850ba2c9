"""Log fits to Weights & Biases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from nearfar.train.callback import State
from nearfar.train.trackers.tracker import Tracker


class WandB(Tracker):
    """Log to Weights & Biases; `place` is the project, by default "nearfar".

    The environment variables of W&B apply: WANDB_MODE=offline writes to WANDB_DIR, and `wandb sync`
    uploads it later; WANDB_API_KEY, WANDB_ENTITY. A fit that is resumed offline writes a second
    folder with the same run id, which `wandb sync` merges. Needs wandb.

    Examples:
        >>> run = nf.Run(seed=1, callbacks=[nf.WandB()])  # doctest: +SKIP
        >>> model = nf.EASE(l2=50).fit(split.train, run=run)  # doctest: +SKIP
    """

    MODULE: ClassVar[str] = "wandb"
    NEEDS_PLACE: ClassVar[bool] = False

    def open(self, run: str | None, name: str, settings: Mapping[str, Any]) -> str:
        import wandb  # pyright: ignore[reportMissingImports]

        self._wandb_run = wandb.init(
            project=self.place or "nearfar",
            id=run,
            name=name if run is None else None,
            group=self.group or None,
            config=dict(settings) if run is None else None,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )
        self._wandb_run.define_metric("*", step_metric="n_steps")
        return str(self._wandb_run.id)

    def log(self, values: Mapping[str, float], step: int, part: str) -> None:
        prefix = f"{part}/" if part else ""
        self._wandb_run.log({"n_steps": step, **{prefix + k: v for k, v in values.items()}})

    def summarise(self, values: Mapping[str, float], step: int, part: str) -> None:
        prefix = f"{part}/" if part else ""
        self._wandb_run.summary.update({prefix + name: v for name, v in values.items()})

    def close(self, state: State) -> None:
        self._wandb_run.finish(exit_code=0 if state == "finished" else 1)
