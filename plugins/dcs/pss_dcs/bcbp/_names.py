# ruff: noqa: RUF001 - Cyrillic and Greek letters that look like Latin ones are the subject
"""Names as a barcode can carry them: A to Z, a solidus between family and given name."""

import unicodedata

__all__ = ["NAME_WIDTH", "printed_name", "transliterate"]

NAME_WIDTH = 20

# ICAO Doc 9303 part 3, section 6 (A: Latin letters, B: Cyrillic), where decomposing the letter
# into a base letter and marks gives another result or none.
_LATIN = {
    "Ä": "AE", "Å": "AA", "Æ": "AE", "Ĳ": "IJ", "Ö": "OE", "Ø": "OE", "Œ": "OE", "Ü": "UE",
    "ẞ": "SS", "Þ": "TH", "Ð": "D", "Đ": "D", "Ħ": "H", "Ŀ": "L", "Ł": "L", "Ŋ": "N",
    "Ŧ": "T", "ĸ": "Q", "Ə": "E", "İ": "I", "ı": "I",
}  # fmt: skip
_CYRILLIC = {
    "А": "A", "Б": "B", "В": "V", "Г": "G", "Д": "D", "Е": "E", "Ё": "E", "Ж": "ZH", "З": "Z",
    "И": "I", "І": "I", "Й": "I", "К": "K", "Л": "L", "М": "M", "Н": "N", "О": "O", "П": "P",
    "Р": "R", "С": "S", "Т": "T", "У": "U", "Ф": "F", "Х": "KH", "Ц": "TS", "Ч": "CH",
    "Ш": "SH", "Щ": "SHCH", "Ъ": "IE", "Ы": "Y", "Ь": "", "Э": "E", "Ю": "IU", "Я": "IA",
    "Ђ": "D", "Ѓ": "G", "Ѕ": "DZ", "Ї": "I", "Ј": "J", "Љ": "LJ", "Њ": "NJ", "Ћ": "C",
    "Ќ": "K", "Ў": "U", "Џ": "DZ", "Є": "IE", "Ґ": "G",
}  # fmt: skip
# ELOT 743 (ISO 843), the form of Greek passports, letter by letter.
_GREEK = {
    "Α": "A", "Β": "V", "Γ": "G", "Δ": "D", "Ε": "E", "Ζ": "Z", "Η": "I", "Θ": "TH", "Ι": "I",
    "Κ": "K", "Λ": "L", "Μ": "M", "Ν": "N", "Ξ": "X", "Ο": "O", "Π": "P", "Ρ": "R", "Σ": "S",
    "Τ": "T", "Υ": "Y", "Φ": "F", "Χ": "CH", "Ψ": "PS", "Ω": "O",
}  # fmt: skip
_LETTERS = _LATIN | _CYRILLIC | _GREEK


def transliterate(name: str) -> str:
    """Upper-case letters A to Z and single spaces; other scripts' letters are left out."""
    letters = [_letter(character) for character in unicodedata.normalize("NFC", name).upper()]
    return " ".join("".join(letters).split())


def _letter(character: str) -> str:
    if character in _LETTERS:
        return _LETTERS[character]
    if character in "'’ʼ`´":
        return ""  # O'Neill is written ONEILL
    base = [part for part in unicodedata.normalize("NFKD", character) if "A" <= part <= "Z"]
    if base:
        return "".join(base)
    # Greek and Cyrillic letters with accents lose those first.
    stripped = unicodedata.normalize("NFKD", character)[:1]
    if stripped != character and stripped in _LETTERS:
        return _LETTERS[stripped]
    return "" if character.isalpha() else " "


def printed_name(family_name: str, given_name: str, title: str | None = None) -> str:
    """Return the barcode's name field, "FAMILY/GIVEN TITLE", at most 20 characters.

    What does not fit is given up in this order: title, further given names, the end of the
    given name, the end of the family name. A name with no letter that can be written is "X".
    """
    family = transliterate(family_name) or "X"
    given = transliterate(given_name)
    honorific = transliterate(title or "")
    forms = [
        f"{family}/{given} {honorific}".strip() if given else family,
        f"{family}/{given}" if given else family,
        f"{family}/{given.split(' ')[0]}" if given else family,
    ]
    for form in forms:
        if len(form) <= NAME_WIDTH:
            return form
    if not given:
        return family[:NAME_WIDTH].strip()
    family = family[: NAME_WIDTH - 2].strip()
    return f"{family}/{given}"[:NAME_WIDTH].strip()
