"""What is kept about passengers who checked in, and what becomes of it on their demand."""

from pss_kernel import PersonalTable

__all__ = ["PERSONAL"]

_CLAIMS = "Claims about bags can be made for two years (Montreal Convention, article 35)."
_BY_ID = "It names nobody once the order's names are erased; who sat where is part of the records."

PERSONAL = [
    PersonalTable(
        "check_in",
        person="passenger_id",
        purpose="to check in, and to say who is on board",
        columns={
            "title": "title",
            "given_name": "given name",
            "family_name": "family name",
            "flight": "flight",
            "flight_date": "date",
            "seat": "seat",
            "travel_document": "travel document, as written before it was sealed",
            "sealed_document": "travel document",
        },
        erased={
            "title": "NULL",
            "given_name": "'-'",
            "family_name": "'-'",
            "travel_document": "NULL",
        },
        kept=dict.fromkeys(("flight", "flight_date", "seat"), _BY_ID),
    ),
    PersonalTable(
        "boarding_pass",
        person="passenger_id",
        purpose="to show at the gate",
        columns={"bcbp": "the barcode's text, with the name"},
        erased={"bcbp": "''"},
    ),
    PersonalTable(
        "seat_assignment",
        person="passenger_id",
        purpose="to keep the chosen seat",
        columns={"seat": "seat"},
        kept={"seat": _BY_ID},
    ),
    PersonalTable(
        "bag",
        person="passenger_id",
        purpose="to carry bags and find lost ones",
        columns={"tag": "bag tag", "declared_weight_kg": "weight"},
        kept={"tag": _CLAIMS, "declared_weight_kg": _CLAIMS},
    ),
]
