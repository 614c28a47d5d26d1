"""Boarding passes to look at: a PNG for telephones, a PDF to print."""

from ._face import Brand, Face, FaceSegment

__all__ = ["Brand", "Face", "FaceSegment", "draw_pdf", "draw_png"]


def draw_png(face: Face, brand: Brand) -> bytes:
    """See `_png.draw_png`."""
    from ._png import draw_png as draw  # noqa: PLC0415 -- most processes never draw

    return draw(face, brand)


def draw_pdf(faces: list[Face], brand: Brand) -> bytes:
    """See `_pdf.draw_pdf`."""
    from ._pdf import draw_pdf as draw  # noqa: PLC0415 -- its library takes half a second

    return draw(faces, brand)
