"""What a check found: a level, a sentence, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

__all__ = ["Diagnosis", "Finding", "Level", "Verdict"]

Level = Literal["go", "unknown", "fix", "no-go"]
"""Fine; cannot be told; worth mending first; a reconstruction would be wrong."""
Verdict = Literal["go", "untried", "fix", "no-go"]
"""Levels of a scan as a whole; untried: nothing speaks against it, but no trial reconstructions were made."""


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
    >>> Diagnosis(findings=(dose,), tried=False).verdict
    'untried'
    """

    findings: tuple[Finding, ...]
    tried: bool = True
    """Whether trial reconstructions were asked for, without which there is no go."""

    @property
    def verdict(self) -> Verdict:
        """The worst level, unknown being no obstacle; untried if nothing was found but trials were not made."""
        levels = {finding.level for finding in self.findings}
        if "no-go" in levels:
            return "no-go"
        if "fix" in levels:
            return "fix"
        return "go" if self.tried else "untried"

    def of_level(self, level: Level) -> Iterator[Finding]:
        """Return the findings of one level."""
        return (finding for finding in self.findings if finding.level == level)
