"""Pictures of results: they show what they say, and are looked at as files."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes

from ptychofold import plotting
from ptychofold.formats import read_fields
from ptychofold.plotting.style import new_figure, save_figure
from ptychofold.reconstruction import Reconstruction, align
from ptychofold.reconstruction.metrics import fourier_ring_correlation
from ptychofold.testing import make_scan

SCAN = make_scan(n_scan=25, N=16, step=2.0, n_modes=2)
RESULT = replace(Reconstruction.from_scan(SCAN), losses=(0.5, 0.2, 0.1))


def axes() -> Axes:
    found = new_figure(3, 3).subplots()
    assert isinstance(found, Axes)
    return found


def test_hues_go_round_once_and_brightness_is_the_modulus() -> None:
    turns = np.exp(1j * np.linspace(-np.pi, np.pi, 181))[None]
    colors = plotting.hue_image(turns)[0].astype(int)
    assert np.abs(colors[0] - colors[-1]).max() <= 1
    assert np.abs(np.diff(colors, axis=0)).max() < 12
    assert len(np.unique(colors, axis=0)) > 150
    luminance = colors @ [0.2126, 0.7152, 0.0722]
    assert np.ptp(luminance) < 0.2 * luminance.mean()
    faint = plotting.hue_image(np.array([[1.0, 0.5, 0.1, 0.0]]) * 1j)[0].astype(int).sum(axis=1)
    assert (np.diff(faint) < 0).all()
    assert faint[-1] == 0


def test_losses_are_drawn_against_epochs_and_on_a_logarithm_where_they_fall_far() -> None:
    drawn = plotting.plot_losses(axes(), {"training": [1.0, 0.5, 0.04], "validation": [1.1, 0.6, 0.2]})
    assert drawn.lines[0].get_xdata().tolist() == [1, 2, 3]  # type: ignore[union-attr]
    assert drawn.get_yscale() == "log"
    assert drawn.get_legend() is not None
    assert plotting.plot_losses(axes(), {"loss": [0.2, 0.1]}).get_yscale() == "linear"


def test_the_ring_correlation_has_its_thresholds_and_physical_frequencies() -> None:
    assert SCAN.object is not None
    rng = np.random.default_rng(0)
    test = SCAN.object + 0.3 * rng.normal(size=SCAN.object.shape)
    rings = fourier_ring_correlation(test, SCAN.object)
    drawn = plotting.plot_ring_correlation(axes(), rings, pixel_size_m=1e-8)
    assert [line.get_label() for line in drawn.lines[:4]] == ["correlation", "1/2 bit", "1 bit", "SNR 1"]
    assert drawn.get_xlim()[1] == pytest.approx(50)
    assert "µm" in drawn.get_xlabel()
    assert "px" in plotting.plot_ring_correlation(axes(), rings).get_xlabel()


def test_every_picture_of_a_result_is_saved(tmp_path: Path) -> None:
    done: list[int] = []
    picture = plotting.Picture.of(RESULT)
    paths = plotting.save_result_pictures(picture, tmp_path / "new", progress=done.append)
    assert [path.stem for path in paths] == ["reconstruction", "object", "probe", "loss"]
    assert sum(done) == 4
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_a_picture_is_taken_of_a_file_too(tmp_path: Path, suffix: str) -> None:
    RESULT.save(tmp_path / f"a{suffix}")
    found = plotting.Picture.of_fields(read_fields(tmp_path / f"a{suffix}"))
    assert found is not None
    np.testing.assert_array_equal(found.object, RESULT.object)
    assert found.losses == RESULT.losses
    assert found.r_factor == RESULT.r_factor
    assert plotting.Picture.of_fields(replace(read_fields(tmp_path / f"a{suffix}"), object=None)) is None


def test_stages_are_drawn_in_one_phase_and_one_range_of_colours(tmp_path: Path) -> None:
    last = plotting.Picture.of(RESULT)
    first = replace(last, object=last.object * np.complex64(np.exp(2j)))
    figure = plotting.plot_before_after([("before", first), ("after", last)])
    phases = [figure.axes[i].images[0] for i in (2, 3)]
    np.testing.assert_allclose(phases[0].get_array(), phases[1].get_array(), atol=1e-3)  # type: ignore[arg-type]
    assert phases[0].get_clim() == phases[1].get_clim()
    assert save_figure(figure, tmp_path / "a.png").exists()


def test_a_comparison_shows_both_objects_their_difference_and_the_correlation() -> None:
    assert SCAN.object is not None
    pair = align(SCAN.object * np.complex64(2j), SCAN.object, shift=False)
    figure = plotting.plot_comparison(pair, pixel_size_m=(1e-8, 1e-8))
    titles = [ax.get_title(loc="left") for ax in figure.axes]
    assert titles[:6] == [
        "A, aligned: phase",
        "B: phase",
        "Difference",
        "A, aligned: amplitude",
        "B: amplitude",
        "Ring correlation",
    ]
    assert float(np.max(figure.axes[2].images[0].get_array())) < 1e-5  # type: ignore[arg-type]


def test_objects_that_are_compared_have_the_same_colours() -> None:
    assert SCAN.object is not None
    noise = np.random.default_rng(0).normal(0, 0.3, SCAN.object.shape)
    worse = (SCAN.object * (1 + noise) * np.exp(1j * noise)).astype(np.complex64)
    axes = plotting.plot_comparison(align(worse, SCAN.object, shift=False)).axes
    for ours, theirs in ((0, 1), (3, 4)):
        assert axes[ours].images[0].get_clim() == axes[theirs].images[0].get_clim()
