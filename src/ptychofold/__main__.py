"""``python -m ptychofold``: the command line, where the command itself is not on the path."""

from ptychofold.cli.main import run

run()
