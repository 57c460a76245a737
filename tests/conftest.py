"""Settings and fixtures that all tests share."""

import jaxtyping
import pytest
from hypothesis import settings

settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


@pytest.fixture
def unchecked_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call pass what its annotation forbids, as it may outside the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
