"""What is kept about passengers who boarded, and what becomes of it on their demand."""

from pss_kernel import PersonalTable

__all__ = ["PERSONAL"]

_BY_ID = "It names nobody once the name is erased; how many were on board is part of the records."

PERSONAL = [
    PersonalTable(
        "boarding",
        person="passenger_id",
        purpose="to say who is on board",
        columns={"name": "name", "seat": "seat", "boarded_at": "when"},
        erased={"name": "'-'"},
        kept={"seat": _BY_ID, "boarded_at": _BY_ID},
    ),
    PersonalTable(
        "boarding_scan",
        person="passenger_id",
        purpose="to settle disputes about the gate",
        columns={"scanned_at": "when", "result": "result", "detail": "detail"},
        erased={"detail": "''"},
        kept={"scanned_at": _BY_ID, "result": _BY_ID},
    ),
]
