"""The checks of a GPU, run on a simulated one."""

import pytest

from benchmarks import gpu
from tests.simulated_cuda import CUDA, simulated_cuda


@pytest.fixture(autouse=True)
def smaller(monkeypatch) -> None:
    monkeypatch.setattr(gpu, "SMALL", "120x40x2000")
    monkeypatch.setattr(gpu, "HELD_OUT", 20)


@pytest.mark.parametrize("name", ["Mult-VAE + PIA", "RecVAE"])
def test_losses_and_gradients_agree_in_every_precision(name: str) -> None:
    data = gpu.small_data()
    with simulated_cuda():
        rows = gpu.agreement(CUDA, data, [name])
    assert len(rows) == 6
    assert [row.verdict for row in rows] == ["ok"] * 6
    rounded = next(row for row in rows if "bfloat16: gradient" in row.name)
    assert rounded.value > 0  # it did compute something else


def test_a_wrong_gradient_is_seen(monkeypatch) -> None:
    def broken(parts, x, device, precision):
        loss, gradients = computed(parts, x, device, precision)
        return loss, [g * (1.2 if device.type == "cuda" else 1) for g in gradients]

    computed = gpu.loss_and_gradients
    monkeypatch.setattr(gpu, "loss_and_gradients", broken)
    data = gpu.small_data()
    with simulated_cuda():
        rows = gpu.agreement(CUDA, data, ["Mult-DAE"])
    assert [row.verdict for row in rows] == ["ok", "MISSED"] * 3


def test_a_bundle_and_a_resumed_run_agree() -> None:
    data = gpu.small_data()
    with simulated_cuda():
        rows = gpu.models(CUDA, data)
    assert [row.verdict for row in rows] == ["ok"] * 3


def test_steps_are_timed() -> None:
    data = gpu.small_data()
    with simulated_cuda() as watch:
        steps = gpu.training("Mult-VAE", data[0].x, CUDA, batch_size=20, precision="bfloat16")
        steps(1)
        before = len(watch.waits)
        assert steps(4) > 0
        assert [wait.split()[0] for wait in watch.waits[before:]] == ["tolist"]
