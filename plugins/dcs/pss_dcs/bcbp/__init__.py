"""Bar-coded boarding passes (IATA Resolution 792): a lenient reader and a strict writer.

The resolution itself is paid-for. Field order and widths were taken from public readers of it:
KDE kitinerary (``src/lib/iata/iatabcbpsections.h``) and georgesmith46/bcbp (``field-lengths``).
"""

from ._dates import resolve_flight_date, resolve_issue_date
from ._names import printed_name, transliterate
from ._read import read
from ._records import Bcbp, Leg, Repeated, Security, Unique
from ._write import write

__all__ = [
    "Bcbp",
    "Leg",
    "Repeated",
    "Security",
    "Unique",
    "printed_name",
    "read",
    "resolve_flight_date",
    "resolve_issue_date",
    "transliterate",
    "write",
]
