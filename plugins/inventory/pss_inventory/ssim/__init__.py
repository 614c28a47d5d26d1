"""SSIM chapter 7, the airlines' standard schedule file: a lenient reader, a strict writer."""

from .read import read
from .records import (
    Carrier,
    CarrierSchedule,
    Finding,
    FlightLeg,
    Header,
    Reading,
    ScheduleFile,
    SegmentElement,
    Trailer,
)
from .write import UnwritableError, write

__all__ = [
    "Carrier",
    "CarrierSchedule",
    "Finding",
    "FlightLeg",
    "Header",
    "Reading",
    "ScheduleFile",
    "SegmentElement",
    "Trailer",
    "UnwritableError",
    "read",
    "write",
]
