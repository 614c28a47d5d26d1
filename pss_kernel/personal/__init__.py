"""What is kept about people: told and erased on their demand, across all plugins."""

from pss_kernel.personal._declared import PersonalTable
from pss_kernel.personal.contracts import (
    ErasedData,
    PersonalRecord,
    PersonQuery,
    erase_personal_data,
    find_persons,
    personal_data_of,
    reasons_to_keep,
)

__all__ = [
    "ErasedData",
    "PersonQuery",
    "PersonalRecord",
    "PersonalTable",
    "erase_personal_data",
    "find_persons",
    "personal_data_of",
    "reasons_to_keep",
]
