from datetime import UTC, datetime

from . import bcbp, plugin

__all__: list[str] = []


@plugin.decoder("bcbp")
def decode_bcbp(raw: bytes) -> object:
    """Read a boarding pass's barcode; years are those nearest to today."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")  # a character for each byte: the sizes count those
    return bcbp.read(text, reference=datetime.now(UTC).date())
