"""Log fits to TensorBoard event files."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from nearfar.train.callback import State
from nearfar.train.trackers.tracker import Tracker


class TensorBoard(Tracker):
    """Write event files for `tensorboard --logdir DIR`; `place` is DIR.

    Each fit has a folder in DIR with the name of the fit, and a number if that exists; each part
    of a blend has a folder within it. Needs tensorboardX.

    Differs: tensorboardX's `SummaryWriter` passes events to a thread through a queue of ten. If
    that thread dies, as on a full disk, the eleventh event blocks for ever. Therefore its
    `EventsWriter` is used directly.

    Examples:
        >>> run = nf.Run(seed=1, callbacks=[nf.TensorBoard("runs", "first")])
        >>> model = nf.EASE(l2=50).fit(split.train, run=run)
        >>> Path("runs/first").is_dir()
        True
    """

    MODULE: ClassVar[str] = "tensorboardX"
    REPLACES: ClassVar[bool] = True

    def open(self, run: str | None, name: str, settings: Mapping[str, Any]) -> str:
        self._writers: dict[str, Any] = {}
        self._resumed = run is not None
        if run is None:
            run = self._new_folder(re.sub(r"[^\w\-.]+", "_", name).strip("_") or "run")
            self._settings = "\n".join(
                ["| setting | value |", "| --- | --- |"]
                + [f"| {key} | {value} |" for key, value in settings.items()]
            )
        else:
            self._settings = ""
        self._run_folder = Path(self.place) / self.group / run
        self._run_folder.mkdir(parents=True, exist_ok=True)
        return run

    def log(self, values: Mapping[str, float], step: int, part: str) -> None:
        self._write(values, step, self._writer(part, step))

    def summarise(self, values: Mapping[str, float], step: int, part: str) -> None:
        self._write(values, step, self._writer(part, step + 1))

    def close(self, state: State) -> None:
        for writer in self._writers.values():
            writer.close()

    def _write(self, values: Mapping[str, float], step: int, writer: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.summary import scalar

        for name, value in values.items():
            event = Event(wall_time=time.time(), step=step, summary=scalar(name, value))
            writer.write_event(event)
        writer.flush()

    def _writer(self, part: str, replaced_from: int) -> Any:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboardX.summary import text

        if part in self._writers:
            return self._writers[part]
        folder = self._run_folder / part
        folder.mkdir(parents=True, exist_ok=True)
        n_files = sum(1 for _ in folder.glob("events.out.tfevents.*"))
        writer = EventsWriter(str(folder / "events"), f".{n_files:04d}")
        self._writers[part] = writer
        if self._resumed:  # makes TensorBoard drop the values of earlier files from this step on
            log = SessionLog(status=SessionLog.START)
            event = Event(wall_time=time.time(), step=replaced_from, session_log=log)
            writer.write_event(event)
        if self._settings and not part:
            summary = text("settings", self._settings)
            writer.write_event(Event(wall_time=time.time(), step=0, summary=summary))
        return writer

    def _new_folder(self, name: str) -> str:
        parent = Path(self.place) / self.group
        parent.mkdir(parents=True, exist_ok=True)
        number = 1
        while True:
            run = name if number == 1 else f"{name}-{number}"
            try:
                (parent / run).mkdir()
            except FileExistsError:
                number += 1
            else:
                return run
