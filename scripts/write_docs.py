"""Write the reference of every public name as HTML: ``python scripts/write_docs.py DIRECTORY``."""

import sys
from importlib import import_module
from pathlib import Path

import pdoc

PACKAGES = (
    *("config", "errors", "patches", "measurement", "formats", "preprocess", "grouping", "physics", "data", "models"),
    *("reconstruction", "reconstruction.training", "reconstruction.run", "reconstruction.iterative"),
    *("reconstruction.metrics", "reconstruction.orientation", "reconstruction.scales", "reconstruction.doctor"),
    *("diagnosis", "compat", "plotting", "testing"),
)
MODULES = ("ptychofold", *(f"ptychofold.{name}" for name in PACKAGES))


def main(folder: Path) -> None:
    """Load the public names, which modules import on first use, and document them."""
    for name in MODULES:
        module = import_module(name)
        for public in module.__all__:
            setattr(module, public, getattr(module, public))
    pdoc.render.configure(docformat="numpy")
    pdoc.pdoc(*MODULES, output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
