import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnchoredOffsetbox, TextArea
from matplotlib.text import Text

from ptychofold import plotting
from ptychofold.config import GroupingConfig, ScanGeometry
from ptychofold.errors import DependencyError
from ptychofold.grouping import group_scan
from ptychofold.metadata import Metadata
from ptychofold.optional import require
from ptychofold.plotting.fields import phase_window, plot_phase
from ptychofold.plotting.report import n_pictures
from ptychofold.plotting.scans import plot_groups
from ptychofold.plotting.style import Scale, new_figure, object_scale, pattern_scale
from ptychofold.survey import summarise_patterns
from ptychofold.testing import make_scan

PIXELS = Scale(pixel=1.0, unit="px")


def _axes() -> Axes:
    axes = new_figure(3.0, 3.0).subplots()
    assert isinstance(axes, Axes)
    return axes


def _scale_bars(figure: Figure) -> list[str]:
    boxes = [box for axes in figure.axes for box in axes.findobj(AnchoredOffsetbox)]
    return [t.get_text() for box in boxes for area in box.findobj(TextArea) for t in area.findobj(Text)]


def test_every_picture_of_a_scan_has_scale_bars_in_si_units_if_the_pixel_is_known() -> None:
    scan = make_scan(n_scan=25, N=32, n_modes=2)
    figure = plotting.plot_overview(scan, summarise_patterns(scan))
    bars = _scale_bars(figure)
    assert len(bars) == 6
    assert all(bar.endswith(("nm", "µm", "µm⁻¹")) for bar in bars)


def test_a_scale_bar_is_in_pixels_if_the_pixel_is_unknown() -> None:
    assert _scale_bars(plotting.plot_probe(make_scan(N=32).probe)) == ["5 px", "5 px"]


def test_a_detector_pixel_spans_one_over_the_width_of_the_patch() -> None:
    scale = pattern_scale(Metadata(pixel_size_m=(1e-8, 1e-8)), 50)
    assert scale.unit == "1/m"
    assert scale.pixel == pytest.approx(2e6)
    assert object_scale(None) == pattern_scale(Metadata(), 50) == PIXELS


def test_the_phase_is_drawn_in_a_cyclic_map_over_a_whole_turn() -> None:
    field = np.exp(1j * np.linspace(-3.1, 3.1, 64)).astype(np.complex64).reshape(8, 8)
    image = plot_phase(_axes(), field, scale=PIXELS).images[0]
    assert image.get_clim() == (-np.pi, np.pi)
    np.testing.assert_allclose(image.cmap(0.0), image.cmap(1.0), atol=0.01)


@given(middle=st.floats(-np.pi, np.pi), spread=st.floats(0, 2.7))
def test_lit_phases_that_lie_together_are_not_wrapped(middle: float, spread: float) -> None:
    field = np.exp(1j * (middle + np.linspace(-spread / 2, spread / 2, 99))).astype(np.complex64)
    low, period = phase_window(field)
    assert period <= np.pi
    shown = np.sort(np.mod(np.angle(field) - low, period))
    assert shown[-1] - shown[0] == pytest.approx(spread, abs=1e-3)


def test_the_phase_of_nothing_is_drawn() -> None:
    assert phase_window(np.zeros(4, np.complex64))[1] == np.pi / 4


def test_positions_are_drawn_with_y_down_like_the_object() -> None:
    scan = make_scan(n_scan=25)
    axes = plot_groups(_axes(), scan.positions, None, scale=PIXELS)
    bottom, top = axes.get_ylim()
    assert bottom > top
    assert axes.get_aspect() == 1.0


def test_the_probe_drawn_among_few_points_is_seen_whole() -> None:
    axes = plot_groups(_axes(), np.array([[5.0, 5.0], [5.0, 9.0]]), None, scale=PIXELS, diameter=30.0)
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    x, y = axes.patches[0].center  # type: ignore[attr-defined]
    assert left < x - 15 < x + 15 < right
    assert top < y - 15 < y + 15 < bottom


def test_a_pattern_of_the_near_field_is_an_image_with_lengths() -> None:
    far = Metadata(pixel_size_m=(1e-8, 1e-8))
    assert pattern_scale(far, 64) == Scale(pixel=1 / (64 * 1e-8), unit="1/m")
    near = replace(far, geometry=ScanGeometry(propagation="near_field"))
    assert pattern_scale(near, 64) == Scale(pixel=1e-8, unit="m")


def test_links_run_from_each_groups_center_to_its_members() -> None:
    scan = make_scan(n_scan=25)
    groups = group_scan(scan.positions, GroupingConfig(grid=(2, 2), n_neighbors=5, seed=0))
    axes = plot_groups(_axes(), scan.positions, groups, scale=PIXELS)
    segments = np.array(axes.collections[0].get_segments())  # type: ignore[attr-defined]
    assert segments.shape == (100, 2, 2)
    np.testing.assert_allclose(segments[:, 1, ::-1], scan.positions[groups.members.ravel()])
    np.testing.assert_allclose(segments[::4, 0, ::-1], groups.centers)


def test_pictures_of_a_single_pattern_without_an_object_are_saved_whole_and_without_a_window_system(
    tmp_path: Path,
) -> None:
    scan = make_scan(n_scan=1, N=16, object=False)
    done: list[int] = []
    paths = plotting.save_pictures(scan, summarise_patterns(scan), tmp_path / "new", progress=done.append)
    assert len(paths) == n_pictures(scan) == sum(done)
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"pip install 'ptychofold\[plot\]'"):
        require("matplotlib", extra="plot")
