"""An index on disk: a folder with manifest.json and graph.faiss."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.bundle.item_graph import fingerprint, products_of, require_faiss
from nearfar.bundle.item_index import ItemIndex, named_bundle
from nearfar.core.arguments import told_in_words
from nearfar.core.errors import ArtefactError
from nearfar.core.files import atomic_folder
from nearfar.core.manifest import check_manifest_files, holds, read_manifest, write_manifest
from nearfar.models.inner_products import InnerProducts

KIND = "nearfar index"
GRAPH = "graph.faiss"
REMEDY = "build it again: nearfar index BUNDLE --out INDEX"


@told_in_words()
def save_index(index: ItemIndex, path: str | Path) -> Path:
    """Write an index as a folder, atomically; an index that stands there is replaced.

    `manifest.json` holds what was measured, the bundle that the index belongs to, and size and
    checksum of `graph.faiss`.

    Raises:
        ArtefactError: something else stands at `path`.

    Examples:
        >>> index = nf.build_index(bundle, k=5, force=True)
        >>> path = nf.save_index(index, "my-index")
    """
    import faiss

    content = {
        "k": index.k, "effort": index.effort, "fingerprint": index.fingerprint, **index.about
    }  # fmt: skip
    with atomic_folder(Path(path), overwrite_if=lambda p: holds(p, KIND)) as folder:
        faiss.write_index(index.graph, str(folder / GRAPH))
        write_manifest(folder, content, KIND)
    return Path(path)


@told_in_words()
def load_index(path: str | Path, bundle: Bundle) -> ItemIndex:
    """Read the index of a bundle, every file checked against its size and checksum.

    Args:
        path: the folder.
        bundle: that the index belongs to.

    Raises:
        ArtefactError: it is no index, or damaged, or of another bundle.
        SettingsError: scores of the bundle's model are no inner products.
        MissingExtraError: faiss is not installed.

    Examples:
        >>> path = nf.save_index(nf.build_index(bundle, k=5, force=True), "my-index")
        >>> index = nf.load_index("my-index", bundle)
        >>> nf.recommend(bundle, [[0, 3]], k=3, index=index).n_users
        1
    """
    check_bundle(bundle)
    path, model = Path(path), bundle.model
    products = products_of(model)
    require_faiss()
    about = read_manifest(path, KIND, REMEDY)
    check_manifest_files(path, about.get("files"), REMEDY)
    if about.get("fingerprint") != fingerprint(model):
        raise ArtefactError(
            f"{path} is the index of another bundle ({named_bundle(about)}), or of this one before "
            f"it was trained again or extended; {REMEDY}"
        )
    if GRAPH not in about["files"]:
        raise ArtefactError(f"{path} is damaged: it lists no {GRAPH}; {REMEDY}")
    import faiss

    try:
        graph = faiss.read_index(str(path / GRAPH))
        k, effort = int(about.pop("k")), int(about.pop("effort"))
        n_items, n_columns = graph.ntotal, graph.d
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtefactError(f"{path} cannot be read ({reason}); {REMEDY}") from None
    expected = (model.n_items, products.weight.shape[1] + 2)
    if not isinstance(graph, faiss.IndexHNSW) or (n_items, n_columns) != expected:
        raise ArtefactError(f"{path / GRAPH} holds no graph of this bundle's items; {REMEDY}")
    rest = ("kind", "format", "files", "fingerprint")
    facts = {name: value for name, value in about.items() if name not in rest}
    return ItemIndex(model, graph, k, effort, about["fingerprint"], facts)


def find_index(paths: Sequence[Path], bundle: Bundle) -> tuple[Path, ItemIndex] | None:
    """Return the first of these indices that belongs to a bundle, and where it lies; None if none.

    Raises:
        ArtefactError, MissingExtraError: as `load_index`.
    """
    if not paths or InnerProducts.of(bundle.model) is None:
        return None
    own = fingerprint(bundle.model)
    for path in paths:
        if read_manifest(path, KIND, REMEDY).get("fingerprint") == own:
            return path, load_index(path, bundle)
    return None
