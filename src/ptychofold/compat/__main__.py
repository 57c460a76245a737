"""``python -m ptychofold.compat SCRIPT …``: run a script written for PtychoPINN's data side."""

import runpy
import sys
from pathlib import Path

from ptychofold.compat.aliases import install

if len(sys.argv) < 2 or not Path(sys.argv[1]).is_file():
    sys.exit("usage: python -m ptychofold.compat SCRIPT [ARGUMENT ...], SCRIPT a file that exists")
install()
sys.argv = sys.argv[1:]
sys.path[0] = str(Path(sys.argv[0]).parent)
runpy.run_path(sys.argv[0], run_name="__main__")
