"""The tests; the shape checker is imported here because the plugin looks it up as an attribute."""

from tests import typechecker

__all__ = ["typechecker"]
