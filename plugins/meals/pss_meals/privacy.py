"""Meals tell of health and belief: a special category, erased with its rows."""

from pss_kernel import PersonalTable

__all__ = ["PERSONAL"]

PERSONAL = [
    PersonalTable(
        "meal",
        person="passenger_id",
        purpose="to serve the dish that was ordered",
        columns={"code": "meal", "flight": "flight", "flight_date": "date"},
        rows_go=True,
        special=True,
    )
]
