"""The one table of setting names and values: native, TensorFlow dialect, legacy dictionary, PyTorch dialect."""

from functools import partial
from typing import Final

from ptychofold.config.dialects import SAME, SWITCH, Glossary, choice, file_name, square_grid

__all__ = ["NAMES"]

_choice = partial(choice, {"native": 0, "tensorflow": 1, "legacy": 1, "torch": 2})

GRID: Final = square_grid(("tensorflow", "legacy"))
FILE: Final = file_name(("legacy", "torch"))
SAMPLING: Final = _choice(("sequential", True, None), ("random", False, None))
MODE: Final = _choice(("unsupervised", "pinn", "Unsupervised"), ("supervised", "supervised", "Supervised"))
LOSS: Final = _choice(("poisson", 1.0, True), ("mae", 0.0, False))
ACTIVATION: Final = _choice(
    ("swish", "swish", "silu"),
    ("swish", "swish", "SiLU"),
    ("swish", "swish", "swish"),
    ("sigmoid", "sigmoid", "sigmoid"),
    ("softplus", "softplus", "softplus"),
    ("relu", "relu", "relu"),
)
CANDIDATES: Final = _choice(
    ("nearest", None, "Nearest"), ("nearest", None, "Min_dist"), ("quadrants", None, "4_quadrant")
)

# fmt: off
NAMES: Final = Glossary.of(
    ("native",                  "tensorflow",          "legacy",               "torch"),
    ("size",                     "N",                   "N",                    "N",                 SAME),
    ("grouping.grid",            "gridsize",            "gridsize",             "grid_size",         GRID),
    ("grouping.n_neighbors",     "neighbor_count",      "neighbor_count",       "K",                 SAME),
    ("grouping.n_groups",        "n_groups",            "n_groups",             "n_groups",          SAME),
    # The two n_subsample never map to each other: scan points kept before grouping, and groups drawn per seed.
    ("grouping.n_scan_points",   "n_subsample",         "n_subsample",          None,                SAME),
    ("grouping.groups_per_seed", None,                  None,                   "n_subsample",       SAME),
    ("grouping.oversample",      "enable_oversampling", "enable_oversampling",  None,                SAME),
    ("grouping.pool_size",       "neighbor_pool_size",  "neighbor_pool_size",   None,                SAME),
    ("grouping.sampling",        "sequential_sampling", "sequential_sampling",  None,                SAMPLING),
    ("grouping.seed",            "subsample_seed",      "subsample_seed",       "subsample_seed",    SAME),
    ("grouping.candidates",      None,                  None,                   "neighbor_function", CANDIDATES),
    ("n_photons",                "nphotons",            "nphotons",             "nphotons",          SAME),
    ("mode",                     "model_type",          "model_type",           "mode",              MODE),
    ("amp_activation",           "amp_activation",      "amp_activation",       "amp_activation",    ACTIVATION),
    ("epochs",                   "nepochs",             "nepochs",              "epochs",            SAME),
    ("batch_size",               "batch_size",          "batch_size",           "batch_size",        SAME),
    ("loss",                     "nll_weight",          "nll_weight",           "nll",               LOSS),
    ("object_big",               "object_big",          "object.big",           "object_big",        SAME),
    ("probe_big",                "probe_big",           "probe.big",            "probe_big",         SAME),
    ("probe_mask",               "probe_mask",          "probe.mask",           "probe_mask",        SWITCH),
    ("probe_trainable",          "probe_trainable",     "probe.trainable",      None,                SAME),
    ("intensity_scale_trainable", "intensity_scale_trainable", "intensity_scale.trainable",
     "intensity_scale_trainable", SAME),
    ("positions_provided",       "positions_provided",  "positions.provided",   None,                SAME),
    ("output_dir",               "output_dir",          "output_prefix",        "output_dir",        FILE),
    ("train_file",               "train_data_file",     "train_data_file_path", "train_data_file",   FILE),
    ("test_file",                "test_data_file",      "test_data_file_path",  "test_data_file",    FILE),
    ("model_path",               "model_path",          "model_path",           None,                FILE),
)
# fmt: on
