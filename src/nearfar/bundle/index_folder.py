"""Save and load an index: a folder with manifest.json and graph.faiss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.bundle.item_graph import fingerprint, require_faiss, require_inner_products
from nearfar.bundle.item_index import ItemIndex, describe_bundle
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import ArtefactError
from nearfar.core.files import atomic_folder
from nearfar.core.manifest import check_manifest_files, holds, read_manifest, write_manifest
from nearfar.models.inner_products import InnerProducts
from nearfar.models.model import Model

KIND = "nearfar index"
GRAPH = "graph.faiss"
REMEDY = "build it again: nearfar index BUNDLE --out INDEX"


@validate_arguments()
def save_index(index: ItemIndex, path: str | Path) -> Path:
    """Write an index as a folder, atomically, replacing an index that is already there.

    `manifest.json` holds the measurements, the bundle that the index belongs to, and size and
    checksum of `graph.faiss`.

    Raises:
        ArtefactError: `path` exists and is not an index.

    Examples:
        >>> index = nf.build_index(bundle, k=5, force=True)
        >>> path = nf.save_index(index, "my-index")
    """
    import faiss

    manifest = {
        "k": index.k, "effort": index.effort, "fingerprint": index.fingerprint, **index.metadata
    }  # fmt: skip
    with atomic_folder(Path(path), overwrite_if=lambda p: holds(p, KIND)) as folder:
        faiss.write_index(index.graph, str(folder / GRAPH))
        write_manifest(folder, manifest, KIND)
    return Path(path)


@validate_arguments()
def load_index(path: str | Path, bundle: Bundle) -> ItemIndex:
    """Read the index of a bundle, and check every file against its size and checksum.

    Size and checksum show damage, not intent: faiss reads `graph.faiss`, and it is not made for
    files from strangers. Load only indices that you built, or got as you get programs.

    Args:
        path: the folder of the index.
        bundle: the bundle that the index belongs to.

    Raises:
        ArtefactError: the folder is not an index, is damaged, or belongs to another bundle.
        SettingsError: the model's scores are not inner products.
        MissingExtraError: faiss is not installed.

    Examples:
        >>> path = nf.save_index(nf.build_index(bundle, k=5, force=True), "my-index")
        >>> index = nf.load_index("my-index", bundle)
        >>> nf.recommend(bundle, [[0, 3]], k=3, index=index).n_users
        1
    """
    check_bundle(bundle)
    path, model = Path(path), bundle.model
    require_inner_products(model)
    require_faiss()
    manifest = read_manifest(path, KIND, REMEDY)
    check_manifest_files(path, manifest.get("files"), REMEDY)
    if manifest.get("fingerprint") != fingerprint(model):
        raise ArtefactError(
            f"{path} is the index of another bundle ({describe_bundle(manifest)}), or of this one "
            f"before it was trained again or extended; {REMEDY}"
        )
    return _read_graph(path, manifest, model)


def _read_graph(path: Path, manifest: dict[str, Any], model: Model) -> ItemIndex:
    """Read the graph of an index whose files and fingerprint were checked.

    Raises:
        ArtefactError: the graph cannot be read, or holds no graph of the model's items.
    """
    if GRAPH not in manifest["files"]:
        raise ArtefactError(f"{path} is damaged: it lists no {GRAPH}; {REMEDY}")
    import faiss

    try:
        graph = faiss.read_index(str(path / GRAPH))
        k, effort = int(manifest.pop("k")), int(manifest.pop("effort"))
        if not 1 <= k <= effort:
            raise ValueError(f"k is {k} and effort {effort}")
        n_items, n_columns = graph.ntotal, graph.d
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtefactError(f"{path} cannot be read ({reason}); {REMEDY}") from None
    expected = (model.n_items, require_inner_products(model).weight.shape[1] + 2)
    if not isinstance(graph, faiss.IndexHNSW) or (n_items, n_columns) != expected:
        raise ArtefactError(f"{path / GRAPH} holds no graph of this bundle's items; {REMEDY}")
    not_measured = ("kind", "format", "files", "fingerprint")
    metadata = {name: value for name, value in manifest.items() if name not in not_measured}
    return ItemIndex(model, graph, k, effort, manifest["fingerprint"], metadata)


def find_index(paths: Sequence[Path], bundle: Bundle) -> tuple[Path, ItemIndex] | None:
    """Return the path and the index of the first that belongs to a bundle, or None.

    Raises:
        ArtefactError: as for `load_index`.
        MissingExtraError: as for `load_index`.
    """
    if not paths or InnerProducts.of(bundle.model) is None:
        return None
    expected = fingerprint(bundle.model)
    for path in paths:
        manifest = read_manifest(path, KIND, REMEDY)
        if manifest.get("fingerprint") == expected:
            require_faiss()
            check_manifest_files(path, manifest.get("files"), REMEDY)
            return path, _read_graph(path, manifest, bundle.model)
    return None
