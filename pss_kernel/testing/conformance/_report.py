"""What a run of the suite has found."""

from __future__ import annotations

import msgspec

__all__ = ["Finding", "Report"]


class Finding(msgspec.Struct, frozen=True):
    """Something of another tenant's that was seen, or an attempt at it."""

    element: str
    """What was run: ``GET /v1/meals``, ``job tidy``, …"""
    place: str
    """Where it was seen: answer, log, output, exception, ``table note``, outbox, cache, …"""
    what: str
    """Which value: where the other tenant keeps it; or what was attempted."""
    phase: str
    """alone, with the other's ids, or both at once."""

    def __str__(self) -> str:
        return f"{self.element} ({self.phase}): {self.what} in its {self.place}"


class Report(msgspec.Struct):
    """Of one plugin."""

    plugin: str
    elements: list[str] = []
    """What was run."""
    findings: list[Finding] = []
    seen: dict[str, set[str]] = {}
    """Which of the other tenant's values it was itself shown, by element: the seeding works."""
    answered: set[str] = set()
    """What did, at least once, without an unexpected error as the tenant that is looked at."""
    not_run: dict[str, str] = {}
    """What could not be run, and why."""
    failed: dict[str, str] = {}
    """What ended in an error that nobody raised on purpose: not a leak, and little tested."""
    not_seeded: dict[str, str] = {}
    """Tables that no row could be put into, and why."""

    def of(self, element: str) -> list[Finding]:
        """The findings of one element."""
        return [one for one in self.findings if one.element == element]

    def untested(self, element: str) -> str:
        """Why nothing is known of an element, as a sentence; empty where it was tested."""
        if element in self.not_run:
            return f"{element} never ran: {self.not_run[element]}."
        if element in self.failed and element not in self.answered:
            return (
                f"{element} only ever ended in an unexpected error, so that nothing is known of "
                f"it: {self.failed[element]}"
            )
        return ""

    def add(self, finding: Finding) -> None:
        """Keep a finding, each once."""
        if finding not in self.findings:
            self.findings.append(finding)
