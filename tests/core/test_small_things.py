"""Seeds, memory, discovery."""

import pytest

from nearfar.algorithms.algorithm import PACKAGE, Algorithm, find_algorithm
from nearfar.algorithms.ease import EASE
from nearfar.core import discovery, memory, seeding
from nearfar.core.device import is_amd_with_avx512, multiplies_bfloat16
from nearfar.core.errors import DoesNotFitError, SettingsError, UnknownNameError
from nearfar.vae.corruption.corruption import Clean, Corruption, Dropout, Mask


def test_streams_are_a_function_of_seed_and_name() -> None:
    assert seeding.derive(1, "a", 2) == seeding.derive(1, "a", 2)
    values = {seeding.derive(s, n, i) for s in range(5) for n in "ab" for i in range(50)}
    assert len(values) == 500
    assert all(0 <= v < 2**63 for v in values)
    assert seeding.generator(1, "a").random() == seeding.generator(1, "a").random()


def test_memory_is_required_before_work() -> None:
    assert memory.available_bytes() > 2**20
    memory.require(1, "this", "that")
    with pytest.raises(DoesNotFitError, match=r"this needs 1024\.0 TiB .* that"):
        memory.require(2**50, "this", "that")


def test_algorithms_are_found_by_file_or_dotted_path() -> None:
    assert find_algorithm("ease") is EASE
    assert find_algorithm("EASE") is EASE
    assert find_algorithm("nearfar.algorithms.ease.EASE") is EASE
    assert discovery.name_of(EASE) == "ease"
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        find_algorithm("eas")
    with pytest.raises(SettingsError, match="cannot import"):
        find_algorithm("no.such.Thing")
    with pytest.raises(SettingsError, match="is not a"):
        find_algorithm("nearfar.core.errors.NearfarError")


def test_every_algorithm_file_is_discovered() -> None:
    assert "algorithm" not in discovery.discover(PACKAGE, Algorithm)
    assert "pia" not in discovery.discover(PACKAGE, Algorithm)


def test_processors_that_multiply_bfloat16_are_known(tmp_path) -> None:
    for flags, expected in [
        ("flags\t\t: fpu avx2 avx512_bf16 sse", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("", False),
    ]:
        path = tmp_path / f"{expected}{len(flags)}"
        path.write_text(f"processor : 0\n{flags}\n")
        assert multiplies_bfloat16(path) is expected
    assert multiplies_bfloat16(tmp_path / "absent") is False


def test_processors_whose_float32_products_mkl_is_slow_at_are_known(tmp_path) -> None:
    for i, (lines, expected) in enumerate(
        [
            ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f", True),
            ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2", False),
            ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 avx512f", False),
            ("", False),
        ]
    ):
        path = tmp_path / str(i)
        path.write_text(f"processor : 0\n{lines}\n")
        assert is_amd_with_avx512(path) is expected
    assert is_amd_with_avx512(tmp_path / "absent") is False


def test_classes_that_share_a_file_are_found_by_their_own_names() -> None:
    package = "nearfar.vae.corruption"
    found = discovery.discover(package, Corruption)
    assert found == {"clean": Clean, "dropout": Dropout, "mask": Mask}
    for name, cls in found.items():
        assert discovery.find(package, Corruption, name) is cls
        assert discovery.name_of(cls) == name
    with pytest.raises(UnknownNameError, match="known: clean, dropout, mask"):
        discovery.find(package, Corruption, "corruption")


def test_a_module_of_ones_own_tells_what_is_wrong_with_it(tmp_path, monkeypatch) -> None:
    """A misspelt class is answered by those that are there; a bug in the module stays a bug."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine_a.py").write_text(
        "import nearfar as nf\nclass Mine(nf.Popularity):\n    pass\n"
    )
    (tmp_path / "mine_b.py").write_text("import a_package_that_is_not_there\n")
    with pytest.raises(SettingsError, match="mine_a has no 'Mime'; it defines Mine"):
        find_algorithm("mine_a.Mime")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        find_algorithm("mine_b.Mine")
    with pytest.raises(SettingsError, match=r"cannot import 'mine_c\.Mine'"):
        find_algorithm("mine_c.Mine")
