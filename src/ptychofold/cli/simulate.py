"""``ptychofold simulate``: a scan of a known object, saved like a measured one."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ptychofold.cli.common import plain, quantity, show

__all__ = ["simulate"]


class ObjectChoice(StrEnum):
    """What is scanned."""

    siemens = "siemens"
    dead_leaves = "dead_leaves"
    random_phase = "random_phase"
    lines = "lines"


class ScanChoice(StrEnum):
    """Where the probe is put."""

    jittered = "jittered"
    fermat = "fermat"
    raster = "raster"


def simulate(
    output: Annotated[Path, typer.Argument(metavar="OUT", help="The scan; .npz holds everything.")],
    *,
    obj: Annotated[ObjectChoice, typer.Option("--object", help="What is scanned.")] = ObjectChoice.siemens,
    positions: Annotated[ScanChoice, typer.Option("--scan", help="Where the probe is put.")] = ScanChoice.jittered,
    n: Annotated[int, typer.Option("--n", "-N", min=8, metavar="N", help="Side of a pattern in pixels.")] = 64,
    n_scan: Annotated[int, typer.Option("--n-positions", min=1, help="About how many positions.")] = 400,
    dose: Annotated[float, typer.Option("--dose", min=0.0, help="Photons a pattern; 0 leaves out the noise.")] = 1e5,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of object, positions and noise.")] = 0,
    pixel: Annotated[
        float | None, typer.Option("--pixel-size-m", min=0.0, help="Side of an object pixel, in metres, for the file.")
    ] = None,
    wavelength: Annotated[
        float | None, typer.Option("--wavelength-m", min=0.0, help="Wavelength, in metres, for the file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", "-s", metavar="NAME=VALUE", help="Any setting, such as step=6, probe=focused."),
    ] = None,
) -> None:
    """Simulate a scan of a known object into OUT: forward model, then photon counting. The file carries the truth."""
    from ptychofold.config import SimulationConfig
    from ptychofold.physics import Geometry, simulate_scan

    named: dict[str, object] = {"object": obj.value, "scan": positions.value, "N": n, "n_scan": n_scan, "seed": seed}
    if dose:
        named["n_photons"] = dose
    overrides = [*(f"{name}={value}" for name, value in named.items()), *(settings or ())]
    config = SimulationConfig.from_mapping({}, overrides=overrides)
    if not dose:
        config = config.replace(n_photons=None)
    geometry = Geometry(wavelength_m=wavelength, pixel_size_m=None if pixel is None else (pixel, pixel))
    scan = simulate_scan(config, geometry=geometry)
    left_out = scan.to_file(output)
    photons = "without noise" if config.n_photons is None else f"of {quantity(config.n_photons)} photons"
    shape = () if scan.object is None else scan.object.shape
    show(
        f"{len(scan)} patterns of {scan.N} × {scan.N} px {photons}, object of {' × '.join(map(str, shape))} px",
        f"wrote {plain(output)}" + (f"; it cannot hold {', '.join(left_out)}" if left_out else ""),
    )
