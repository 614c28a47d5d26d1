"""What is kept about ticket holders, and why it stays."""

from pss_kernel import PersonalTable

__all__ = ["PERSONAL"]

_ACCOUNTS = "Tickets are accounting records; in the EU they are kept for up to ten years."

PERSONAL = [
    PersonalTable(
        "ticket",
        person="passenger_id",
        purpose="to prove and account for carriage that was paid for",
        columns={"number": "ticket number", "passenger_name": "name on the ticket"},
        kept={"number": _ACCOUNTS, "passenger_name": _ACCOUNTS},
    ),
    PersonalTable(
        "ticket_coupon",
        person="passenger_id",
        purpose="to prove and account for carriage that was paid for",
        columns={
            "flight": "flight",
            "flight_date": "date",
            "origin": "from",
            "destination": "to",
            "status": "whether it was flown",
        },
        kept=dict.fromkeys(("flight", "flight_date", "origin", "destination", "status"), _ACCOUNTS),
    ),
]
