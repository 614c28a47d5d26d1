"""Names of people: which are accepted, and when two ways of writing are the same name."""

import unicodedata

__all__ = ["LONGEST_NAME", "NameFault", "name_fault", "same_name"]

LONGEST_NAME = 60
"""Characters. Tickets hold 60, boarding passes cut at 20 (IATA Resolution 792)."""

# Transcriptions of ICAO Doc 9303 part 3 section 6, which machine-readable passports and most
# reservation systems use: somebody called Müller may type MUELLER as well as MULLER.
_ICAO_9303 = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe", "þ": "th"}
)
# Letters that Unicode does not decompose into a base letter and a mark.
_BASE_LETTERS = str.maketrans(
    {
        "ø": "o",
        "æ": "ae",
        "œ": "oe",
        "þ": "th",
        "ð": "d",
        "đ": "d",
        "ł": "l",
        "\u0131": "i",
        "ŋ": "n",
    }
)

NameFault = tuple[str, str]
"""A stable code and a sentence."""


def name_fault(name: str) -> NameFault | None:
    """Say what is wrong with a given or family name; None when it can stand on a ticket.

    Letters must be Latin, with any diacritics: that is what a passport's machine-readable zone,
    a ticket and a boarding pass can be written in.
    """
    if not name.strip():
        return ("required", "The name is missing.")
    if len(name) > LONGEST_NAME:
        return ("too-long", f"A name has at most {LONGEST_NAME} characters.")
    letters = 0
    for character in unicodedata.normalize("NFC", name):
        if character.isalpha():
            if not unicodedata.name(character, "").startswith("LATIN"):
                return (
                    "not-latin",
                    "Write the name in Latin letters, as in the machine-readable passport.",
                )
            letters += 1
        elif character not in " -'\u2019." and not unicodedata.combining(character):
            return ("not-letters", f"A name has letters only; {character!r} is not one.")
    return None if letters else ("not-letters", "A name has at least one letter.")


def same_name(one: str, other: str) -> bool:
    """Tell whether two ways of writing mean one name.

    Case, diacritics, spaces, hyphens and apostrophes don't matter; a letter with a mark equals
    its base letter and its transcription in passports.
    """
    return not _keys(one).isdisjoint(_keys(other))


def _keys(name: str) -> set[str]:
    folded = unicodedata.normalize("NFC", name).casefold()
    keys = {_letters(folded.translate(_ICAO_9303)), _letters(folded)}
    return keys - {""}


def _letters(folded: str) -> str:
    decomposed = unicodedata.normalize("NFKD", folded.translate(_BASE_LETTERS))
    return "".join(character for character in decomposed if character.isalnum())
