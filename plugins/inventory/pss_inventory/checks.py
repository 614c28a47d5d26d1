"""What is wrong with a schedule file, before anything is loaded."""

from pathlib import Path

from pss_kernel import FileFinding

from .airports import find_airport
from .ssim import Finding, Reading, read

__all__ = ["check_bytes", "check_schedule"]


def check_bytes(raw: bytes) -> tuple[Reading, list[Finding]]:
    """Read the file and find everything wrong with it, unknown airports too."""
    reading = read(raw)
    unknown = [
        Finding(leg.line, column, f"airport {code} is not known")
        for leg in reading.file.legs
        for column, code in ((37, leg.origin), (55, leg.destination))
        if find_airport(code) is None
    ]
    return reading, sorted([*reading.findings, *unknown], key=lambda one: (one.line, one.column))


def check_schedule(path: Path) -> list[FileFinding]:
    """Every problem of the schedule file, with line and column."""
    _, findings = check_bytes(path.read_bytes())
    return [
        FileFinding(
            path=path,
            line=finding.line,
            column=finding.column,
            message=finding.message,
            severity=finding.severity,
        )
        for finding in findings
    ]
