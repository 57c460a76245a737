"""What importing ptychofold costs and brings."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "matplotlib", "lightning", "tensordict", "tensorflow", "h5py", "dask")


def imported(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_ptychofold_does_not_import_torch_or_another_heavy_package() -> None:
    modules = imported("import ptychofold")
    assert "ptychofold" in modules
    assert modules.isdisjoint(HEAVY)


def test_the_data_floor_imports_torch_but_no_optional_package() -> None:
    modules = imported("import ptychofold.data")
    assert "torch" in modules
    assert modules.isdisjoint({"lightning", "matplotlib", "tensorflow", "dask"})


def test_every_public_name_resolves_and_nothing_else_does() -> None:
    import ptychofold

    assert list(ptychofold.__all__) == sorted(ptychofold.__all__)
    assert all(getattr(ptychofold, name) is not None for name in ptychofold.__all__)
    assert set(dir(ptychofold)) == {*ptychofold.__all__, "__version__"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ptychofold.nothing


def test_floors_without_torch_work_without_torch() -> None:
    names = "RawData, GroupingConfig, group_scan, extract_patches, split_scan"
    assert "torch" not in imported(f"from ptychofold import {names}")
