"""Weights that no training leaves behind are refused, however right their checksums are."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nearfar.bundle.folder import ARRAYS, load_bundle, save_bundle
from nearfar.core.errors import ArtefactError
from nearfar.core.manifest import NAME, read_manifest, write_manifest
from tests.bundle.cases import make_bundle


@pytest.mark.parametrize("kind", ["autoencoder", "item_item", "factors"])
@pytest.mark.parametrize("what", ["nan", "inf", "-inf", "integers"])
def test_refused(kind: str, what: str, tmp_path: Path) -> None:
    path = save_bundle(make_bundle(kind), tmp_path / kind)
    whole = load_file(path / ARRAYS)
    names = [name for name in whole if name != "popularity"]
    assert names
    for name in names:
        array = whole[name].copy()
        if what == "integers":
            array = array.astype(np.int64)
        else:
            array.reshape(-1)[array.size // 2] = float(what)
        save_file({**whole, name: array}, path / ARRAYS)
        content = {k: v for k, v in read_manifest(path).items()
                   if k not in ("kind", "format", "files")}  # fmt: skip
        (path / NAME).unlink()
        write_manifest(path, content)
        with pytest.raises(ArtefactError, match=r"floats were expected|NaN or infinite") as caught:
            load_bundle(path)
        assert name in str(caught.value)
