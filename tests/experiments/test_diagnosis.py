"""The theory measured from Python, on a split and bundles."""

from __future__ import annotations

import pytest

import nearfar as nf
from nearfar.core.errors import SettingsError

FEW = {"only": ["health"], "users": 40, "sharing_users": 4}


@pytest.fixture(scope="module")
def split() -> nf.Split:
    return nf.split_strong(nf.read_log("synthetic:80x20x800"), 15)


@pytest.fixture(scope="module")
def bundle(split: nf.Split) -> nf.Bundle:
    algorithm = nf.MultVAE(n_latent=4, epochs=1, decoder_hidden=(8,), batch_size=40)
    model = algorithm.fit(split.train, split.validation)
    return nf.Bundle.of(model, algorithm, split.train)


def test_a_bundle_or_several_are_diagnosed_and_printed(split: nf.Split, bundle: nf.Bundle) -> None:
    found = nf.diagnose({"a": bundle, "b": bundle}, split, **FEW)
    assert list(found.findings) == ["health"]
    lines = str(found).splitlines()
    assert lines[0].startswith("Latent dimensions in use")
    assert lines[1].split() == ["a", "b"]
    frame = found.to_polars()
    assert frame["model"].unique(maintain_order=True).to_list() == ["a", "b"]
    value = found.findings["health"]["a"].value("kl")
    assert frame.filter(number="kl", model="b")["value"].to_list() == [value]
    alone = nf.diagnose(bundle, split, **FEW)
    assert alone.findings["health"]["model"].value("kl") == value


def test_what_cannot_be_diagnosed_is_refused(split: nf.Split, bundle: nf.Bundle) -> None:
    with pytest.raises(SettingsError, match=r"a is a Autoencoder; .*Bundle\.of"):
        nf.diagnose({"a": bundle.model}, split)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SettingsError, match="unknown instrument 'helth'; expected alignment"):
        nf.diagnose(bundle, split, only=["helth"])


def test_an_export_is_written_by_its_name(bundle: nf.Bundle, tmp_path) -> None:
    nf.export_bundle(bundle, str(tmp_path / "model.npz"), "npz")
    assert (tmp_path / "model.npz").stat().st_size > 0
    with pytest.raises(nf.NearfarError, match="unknown export 'npy'; did you mean 'npz'"):
        nf.export_bundle(bundle, tmp_path / "x", "npy")
