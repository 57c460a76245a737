"""``python -m ptychofold.compat SCRIPT …``: run a script written for PtychoPINN's data side."""

import runpy
import sys
from pathlib import Path

from ptychofold.compat.aliases import install

if len(sys.argv) < 2:
    sys.exit("usage: python -m ptychofold.compat SCRIPT [ARGUMENT ...]")
install()
sys.argv = sys.argv[1:]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
