"""The models that a real study kept."""

from pathlib import Path

from nearfar.bundle.folder import load_bundle
from nearfar.experiments.reproduction.cells import is_study, saved_models
from nearfar.experiments.reproduction.study import Study
from tests.experiments.reproduction.cases import plan


def test_models_are_found_by_the_labels_of_their_rows(tmp_path: Path) -> None:
    assert not is_study(tmp_path)
    study = Study(plan(tmp_path, only=("ease", "popularity"), keep_models=True))
    assert study.run() is None
    assert is_study(tmp_path)
    split = study.splits.load(0).fingerprint
    found = saved_models(tmp_path, split)
    assert list(found) == ["Popularity", "EASE"]  # as in the paper, whatever their fingerprints
    algorithms = {load_bundle(path).metadata.algorithm for path in found.values()}
    assert algorithms == {"popularity", "ease"}
    assert saved_models(tmp_path, "another split") == {}
