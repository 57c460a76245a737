"""Pictures of scans: every function returns matplotlib Axes or a Figure and shows nothing.

Figures are plain `matplotlib.figure.Figure` objects without a window, so they work anywhere and are saved with
``figure.savefig``. Needs the extra ``plot``.
"""

from ptychofold.optional import require

require("matplotlib", extra="plot")

from ptychofold.plotting.curves import plot_losses, plot_ring_correlation  # noqa: E402
from ptychofold.plotting.fields import plot_amplitude, plot_object, plot_phase, plot_probe  # noqa: E402
from ptychofold.plotting.hue import hue_image, plot_hue  # noqa: E402
from ptychofold.plotting.report import plot_overview, save_pictures  # noqa: E402
from ptychofold.plotting.results import (  # noqa: E402
    Picture,
    plot_before_after,
    plot_comparison,
    plot_reconstruction,
    save_result_pictures,
)
from ptychofold.plotting.scans import plot_coverage, plot_dose, plot_groups, plot_patterns, plot_scan  # noqa: E402

__all__ = [
    "Picture",
    "hue_image",
    "plot_amplitude",
    "plot_before_after",
    "plot_comparison",
    "plot_coverage",
    "plot_dose",
    "plot_groups",
    "plot_hue",
    "plot_losses",
    "plot_object",
    "plot_overview",
    "plot_patterns",
    "plot_phase",
    "plot_probe",
    "plot_reconstruction",
    "plot_ring_correlation",
    "plot_scan",
    "save_pictures",
    "save_result_pictures",
]
