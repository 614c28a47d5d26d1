"""Boarding passes to look at: a PNG for telephones, a PDF to print."""

from ._drawn import draw_pdf, draw_png, drawn
from ._face import Brand, Face, FaceSegment

__all__ = ["Brand", "Face", "FaceSegment", "draw_pdf", "draw_png", "drawn"]
