"""Settings and fixtures that all tests share."""

import jaxtyping
import pytest
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def unchecked_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave annotations unchecked, as outside the tests: for a call that breaks one, or for thousands of small steps.

    Checks are four fifths of the time of such steps; the tests of the steps themselves keep them.
    """
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
