"""Boarding passes to look at: a PNG for telephones, a PDF to print."""

from ._face import Brand, Face, FaceSegment
from ._pdf import draw_pdf
from ._png import draw_png

__all__ = ["Brand", "Face", "FaceSegment", "draw_pdf", "draw_png"]
