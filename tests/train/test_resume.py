"""A run killed and resumed ends in the same bits as one left alone."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.core.errors import ArtefactError, NearfarError
from nearfar.train.callback import Callback
from nearfar.train.checkpoint import NAME, Checkpoint
from nearfar.train.run import Run
from nearfar.vae.initialisers.spectral import Spectral
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.weights.cosine import Cosine

ALGORITHM = MultVAE(
    n_latent=6,
    decoder_hidden=(10,),
    epochs=5,
    batch_size=25,
    learning_rate=0.01,
    alignment=PIA(weight=0.5, patience=1),
)

SAMPLED = replace(
    ALGORITHM,
    likelihood=Sampled(negatives=8),
    optimiser="lazy_adam",
    schedule=Cosine(epochs=5, warm_up=3),
    initialiser=Spectral(),
)

KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import test_resume
from test_resume import ALGORITHM, Killer
from nearfar.train.run import Run
train, validation = test_resume.data()
run = Run(seed=7, device="cpu", folder=test_resume.Path(sys.argv[2]), checkpoint_seconds=0,
          callbacks=(Killer(epoch=2, step=3),))
ALGORITHM.fit(train, validation, run=run)
"""


def data():
    from nearfar.core.vocabulary import Vocabulary
    from nearfar.data.interactions import FoldIn, Interactions

    rng = np.random.default_rng(0)
    x = (rng.random((150, 30)) < 0.3).astype(np.float32)
    from scipy.sparse import csr_array

    def part(dense: np.ndarray) -> Interactions:
        users, items = Vocabulary(range(len(dense))), Vocabulary(range(dense.shape[1]))
        return Interactions(csr_array(dense), users, items)

    hidden = x[120:] * (rng.random((30, 30)) < 0.3)
    return part(x[:120]), FoldIn(part(x[120:] - hidden), part(hidden))


class Killer(Callback):
    """Ends the process as a power cut would, in the middle of an epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def step(self, report) -> None:
        if (report.epoch, report.step) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class Interrupter(Callback):
    """Presses Ctrl-C once, in the middle of an epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def step(self, report) -> None:
        if (report.epoch, report.step) == self.at:
            signal.raise_signal(signal.SIGINT)


def arrays(model) -> dict[str, np.ndarray]:
    return model.state()[1]


def same_bits(a, b) -> None:
    a, b = arrays(a), arrays(b)
    assert a.keys() == b.keys()
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name


@pytest.mark.slow
def test_killed_in_mid_epoch_and_resumed_ends_in_the_same_bits(tmp_path: Path) -> None:
    train, validation = data()
    left_alone = Run(seed=7, device="cpu", folder=tmp_path / "alone")
    expected = ALGORITHM.fit(train, validation, run=left_alone)
    folder = tmp_path / "killed"
    here = str(Path(__file__).parent)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, here, str(folder)], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert (folder / NAME).exists()
    resumed = Run(seed=7, device="cpu", folder=folder, resume=True)
    model = ALGORITHM.fit(train, validation, run=resumed)
    same_bits(expected, model)
    comparable = [
        {k: v for k, v in r.to_dict().items() if "second" not in k}
        for r in left_alone.history.records
    ]
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    assert [
        {k: v for k, v in json.loads(line).items() if "second" not in k} for line in lines
    ] == comparable


@pytest.mark.parametrize("algorithm", [ALGORITHM, SAMPLED], ids=["exact", "sampled"])
@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 4), (3, 5)])
def test_interrupted_keeps_the_best_and_resumes_to_the_same_bits(
    tmp_path: Path, epoch: int, step: int, algorithm: MultVAE
) -> None:
    train, validation = data()
    expected = algorithm.fit(train, validation, run=Run(seed=7, device="cpu"))
    stopped = Run(
        seed=7,
        device="cpu",
        folder=tmp_path,
        callbacks=(Interrupter(epoch, step),),
        keep_on_interrupt=True,
    )
    partial = algorithm.fit(train, validation, run=stopped)
    assert stopped.history.interrupted
    assert len(stopped.history.records) == epoch
    assert np.isfinite(partial.score(validation.fold_in.x)).all()
    resumed = Run(seed=7, device="cpu", folder=tmp_path, resume=True)
    same_bits(expected, algorithm.fit(train, validation, run=resumed))
    assert not resumed.history.interrupted


def test_interrupted_before_the_first_epoch_says_so(tmp_path: Path) -> None:
    train, validation = data()
    run = Run(
        seed=7,
        device="cpu",
        folder=tmp_path,
        callbacks=(Interrupter(0, 1),),
        keep_on_interrupt=True,
    )
    with pytest.raises(NearfarError, match="before the first epoch"):
        ALGORITHM.fit(train, validation, run=run)
    assert (tmp_path / NAME).exists()


def test_interrupt_raises_after_a_checkpoint_unless_the_best_is_asked_for(tmp_path: Path) -> None:
    train, validation = data()
    run = Run(seed=7, device="cpu", folder=tmp_path, callbacks=(Interrupter(2, 1),))
    with pytest.raises(KeyboardInterrupt):
        ALGORITHM.fit(train, validation, run=run)
    assert (tmp_path / NAME).exists()


def test_resuming_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    train, validation = data()
    run = Run(seed=7, device="cpu", folder=tmp_path, checkpoint_epochs=1)
    ALGORITHM.fit(train, validation, run=run)
    with pytest.raises(ArtefactError, match="seed was 7, is 8"):
        ALGORITHM.fit(train, validation, run=Run(seed=8, folder=tmp_path, resume=True))
    other = MultVAE(n_latent=6, decoder_hidden=(10,), epochs=5, batch_size=30)
    with pytest.raises(ArtefactError, match="batch_size was 25, is 30"):
        other.fit(train, validation, run=Run(seed=7, folder=tmp_path, resume=True))


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    train, validation = data()
    (tmp_path / NAME).write_bytes(b"\x00" * 40)
    with pytest.raises(ArtefactError, match="damaged"):
        ALGORITHM.fit(train, validation, run=Run(seed=7, folder=tmp_path, resume=True))


def test_resuming_where_nothing_is_starts_anew(tmp_path: Path) -> None:
    train, validation = data()
    a = ALGORITHM.fit(train, validation, run=Run(seed=7, folder=tmp_path / "new", resume=True))
    same_bits(a, ALGORITHM.fit(train, validation, run=Run(seed=7)))


def test_an_epoch_taken_up_counts_the_seconds_before(tmp_path: Path, monkeypatch) -> None:
    train, validation = data()
    write = Checkpoint.write

    def slow(checkpoint: Checkpoint, folder: Path) -> None:
        position = {**checkpoint.position, "seconds": checkpoint.position["seconds"] + 1000}
        write(replace(checkpoint, position=position), folder)

    monkeypatch.setattr(Checkpoint, "write", slow)
    stopped = Run(seed=7, device="cpu", folder=tmp_path, callbacks=(Interrupter(1, 2),))
    with pytest.raises(KeyboardInterrupt):
        ALGORITHM.fit(train, validation, run=stopped)
    resumed = Run(seed=7, device="cpu", folder=tmp_path, resume=True)
    ALGORITHM.fit(train, validation, run=resumed)
    seconds = [record.seconds for record in resumed.history.records]
    assert [second > 1000 for second in seconds] == [False, True, False, False, False]
