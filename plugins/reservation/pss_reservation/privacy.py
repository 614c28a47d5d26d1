"""What is kept about passengers, and what becomes of it when they want it erased."""

from pss_kernel import PersonalTable

__all__ = ["PERSONAL"]

# A name that nothing equals (see names.py), so that nobody finds the order by it any more.
_NO_NAME = "'-'"

PERSONAL = [
    PersonalTable(
        "order_passenger",
        person="id",
        purpose="to carry out the journey that was ordered",
        columns={
            "title": "title",
            "given_name": "given name",
            "family_name": "family name",
            "born_on": "date of birth, as written before it was sealed",
            "email": "e-mail address, as written before it was sealed",
            "phone": "telephone, as written before it was sealed",
            "documents": "travel documents, as written before they were sealed",
            "personal": "date of birth, e-mail address, telephone, travel documents",
        },
        erased={
            "title": "NULL",
            "given_name": _NO_NAME,
            "family_name": _NO_NAME,
            "born_on": "NULL",
            "email": "NULL",
            "phone": "NULL",
            "documents": "'[]'",
        },
    ),
    PersonalTable(
        "order_service",
        person="passenger_id",
        purpose="to provide and account for what was bought with the journey",
        columns={"type": "kind of service", "detail": "what was chosen"},
        erased={"detail": "''"},
        kept={"type": "Sales are accounting records; in the EU they are kept for up to ten years."},
        special=True,
    ),
]
