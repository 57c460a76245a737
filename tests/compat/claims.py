"""Which test exercises which golden through the compat names; `test_every_golden_is_claimed` reads it."""

from tests.golden_files import golden_names

KINDS = {
    "grouping": "test_data_goldens",
    "groups_only": "test_data_goldens",
    "container": "test_data_goldens",
    "npz_load": "test_data_goldens",
    "image_patches": "test_patch_goldens",
    "translate": "test_patch_goldens",
    "extract_patches_position": "test_patch_goldens",
    "reassembly": "test_patch_goldens",
    "torch_group_coords": "test_torch_goldens",
    "torch_memmap_dataset": "test_torch_goldens",
    "tf_dataset": "interop.test_tensorflow_container and test_data_goldens",
}
"""Kind of case, and the tests whose parameters are all its cases."""

JSON_FILES = {
    "config_bridge.json": "test_config_goldens",
    "diffraction_layout.json": "test_data_goldens",
    "metadata_upstream_written.json": "test_data_goldens",
}


def cases(kind: str, *, prefix: str = "") -> list[str]:
    """Return the cases of a kind; a kind that nobody claims is a mistake of the test."""
    assert kind in KINDS
    return golden_names(kind, prefix=prefix)
