"""What a check found: a level, a sentence, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Diagnosis", "Finding", "Level"]

Level = Literal["go", "unknown", "fix", "no-go"]
"""Fine; cannot be told; worth mending first; a reconstruction would be wrong."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line of a diagnosis."""

    subject: str
    """What was looked at, one or two words."""
    level: Level
    says: str
    """What was found, with its numbers."""
    fix: str | None = None
    """What to do about it; None where there is nothing to do."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """All findings of a scan.

    Examples
    --------
    >>> dose, step = Finding(subject="dose", level="go", says="1e5"), Finding(subject="step", level="fix", says="large")
    >>> Diagnosis(findings=(dose, step)).verdict
    'fix'
    """

    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Literal["go", "fix", "no-go"]:
        """The worst level; what cannot be told is no obstacle."""
        levels = {finding.level for finding in self.findings}
        if "no-go" in levels:
            return "no-go"
        return "fix" if "fix" in levels else "go"

    def of_level(self, level: Level) -> Iterator[Finding]:
        """Return the findings of one level."""
        return (finding for finding in self.findings if finding.level == level)
