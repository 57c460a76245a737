"""Modules that stand in for those of a project that is not installed: an import finder over a table."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from ptychofold.errors import ConfigError

__all__ = ["StandIns"]


class StandIns(MetaPathFinder, Loader):
    """Finds the modules of a table and fills them with the public names of our modules.

    Parameters
    ----------
    table
        Name of a module of the project, and the modules whose names it has; a package has none.
    project
        Name of the project, for messages.
    """

    def __init__(self, table: Mapping[str, tuple[str, ...]], *, project: str) -> None:
        self.table, self.project = table, project
        self.packages = sorted({name.partition(".")[0] for name in table})

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module of the table; another one of its packages is an error that lists what there is."""
        if fullname in self.table:
            return ModuleSpec(fullname, self, is_package=not self.table[fullname])
        if fullname.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(
                f"ptychofold stands in for {self.project} only; it has no {fullname!r}. Known: "
                f"{', '.join(name for name, homes in self.table.items() if homes)}.",
                name=fullname,
            )
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module the names of ours."""
        for home in self.table[module.__name__]:
            ours = import_module(home)
            vars(module).update({name: getattr(ours, name) for name in ours.__all__})

    def install(self) -> None:
        """Make the modules importable in this process; doing it again changes nothing.

        Raises
        ------
        ConfigError
            If the project itself is installed, or has been imported: it is never replaced.
        """
        if self in sys.meta_path:
            return
        for package in self.packages:
            found = PathFinder.find_spec(package)  # of a mere folder, which has no code, the origin is None
            if package in sys.modules or (found is not None and found.origin is not None):
                raise ConfigError(
                    f"{package} is installed here, and ptychofold does not take its place. Use another environment, "
                    "or import ptychofold's own modules by their names."
                )
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Undo `install`; modules that hold our names already keep them."""
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not self]
        for name in self.table:
            sys.modules.pop(name, None)
