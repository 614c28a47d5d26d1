"""Boarding passes as a PDF: one page of A4 for each, in vectors and embedded type."""

from fpdf import FPDF

from ._face import Brand, Face, FaceSegment
from ._palette import INK, LINE, MUTED, WHITE, Colour, Palette, palette_of
from ._symbol import black_modules
from ._typeface import Weight, drawable, font_path

__all__ = ["draw_pdf"]

# Millimetres from the top left corner of A4.
_WIDTH = 210
_LEFT = 18
_RIGHT = _WIDTH - _LEFT
_HEADER = 34
_SEGMENT = 70
_ROW = 14.5
_SYMBOL = 58
_BOTTOM = 297


def draw_pdf(faces: list[Face], brand: Brand) -> bytes:
    """Draw the passes, a page each, in the order given."""
    sheet = _Sheet(palette_of(brand))
    sheet.set_title(f"Boarding pass, {drawable(brand.name)}")
    sheet.set_creator("pss-dcs")
    for face in faces:
        sheet.add_page()
        top = sheet.passenger(face, sheet.brand_band(brand))
        for segment in face.segments:
            top = sheet.segment(segment, top)
        sheet.symbol(face, top)
    return bytes(sheet.output())


class _Sheet(FPDF):
    """A page while it is drawn."""

    def __init__(self, palette: Palette) -> None:
        super().__init__(format="A4", unit="mm")
        self.palette = palette
        self.set_auto_page_break(auto=False)
        self.set_margin(0)
        weights: tuple[Weight, ...] = ("Regular", "Semibold", "Bold")
        for weight in weights:
            self.add_font(f"Source Sans Pro {weight}", fname=font_path(weight))

    def put(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float,
        colour: Colour = INK,
        weight: Weight = "Regular",
        align: str = "left",
        room: float = _RIGHT - _LEFT,
    ) -> None:
        """One line on the baseline `y`, set smaller where it is wider than `room`."""
        self.set_font(f"Source Sans Pro {weight}", size=size)
        width = self.get_string_width(text)
        if width > room:
            size *= room / width
            self.set_font(f"Source Sans Pro {weight}", size=size)
            width = room
        self.set_text_color(*colour)
        self.text({"left": x, "right": x - width, "centre": x - width / 2}[align], y, text)

    def width_of(self, text: str, size: float, weight: Weight) -> float:
        self.set_font(f"Source Sans Pro {weight}", size=size)
        return float(self.get_string_width(text))

    def brand_band(self, brand: Brand) -> float:
        self.set_fill_color(*self.palette.primary)
        self.rect(0, 0, _WIDTH, _HEADER, style="F")
        baseline = 18.5 if brand.tagline else 20.5
        on = self.palette.on_primary
        self.put(_LEFT, baseline, drawable(brand.name), size=25, colour=on, weight="Bold", room=115)
        if brand.tagline:
            muted = self.palette.on_primary_muted
            self.put(_LEFT, 25.5, drawable(brand.tagline), size=11, colour=muted, room=115)
        self.put(
            _RIGHT, baseline, "Boarding pass", size=15, colour=on, weight="Semibold", align="right"
        )
        return _HEADER

    def passenger(self, face: Face, top: float) -> float:
        self.label(_LEFT, top + 12, "Passenger")
        self.put(_LEFT, top + 20.5, drawable(face.passenger_name), size=21, weight="Bold")
        self.cells([face.facts], top + 26)
        return top + 42

    def label(self, x: float, y: float, text: str, align: str = "left") -> None:
        self.put(x, y, text.upper(), size=8, colour=MUTED, weight="Semibold", align=align)

    def cells(self, rows: list[list[tuple[str, str]]], top: float, right: float = _RIGHT) -> None:
        """Labels over texts in rows; columns stand under those of the first row."""
        widths = [
            max(self.width_of(text, 13, "Semibold"), self.width_of(label.upper(), 8, "Semibold"))
            for label, text in rows[0]
        ]
        widths[0] = max(widths[0], self.width_of(rows[-1][0][0].upper(), 8, "Semibold"))
        gap = min((right - _LEFT - sum(widths)) / max(len(widths) - 1, 1), 14)
        starts = [_LEFT + sum(widths[:n]) + n * gap for n in range(len(widths))]
        for number, row in enumerate(rows):
            y = top + number * _ROW
            for x, (label, text) in zip(starts, row, strict=False):
                self.label(x, y + 3, label)
                self.put(x, y + 9, text, size=13, weight="Semibold", room=right - x)

    def segment(self, segment: FaceSegment, top: float) -> float:
        self.set_draw_color(*LINE)
        self.set_line_width(0.3)
        self.line(_LEFT, top, _RIGHT, top)
        baseline = top + 20
        room = (_RIGHT - _LEFT) / 2 - 6
        self.put(_LEFT - 0.8, baseline, segment.origin, size=44, weight="Bold")
        self.put(_RIGHT + 0.6, baseline, segment.destination, size=44, weight="Bold", align="right")
        for x, align, name, time in (
            (_LEFT, "left", segment.origin_name, f"{segment.departing_at:%H:%M}"),
            (_RIGHT, "right", segment.destination_name, segment.arrival_text),
        ):
            self.put(x, top + 26.5, drawable(name), size=11, colour=MUTED, align=align, room=room)
            self.put(
                x, top + 34.5, time, size=19, colour=self.palette.accent, weight="Semibold",
                align=align,
            )  # fmt: skip
        self.arrow(_WIDTH / 2, baseline - 5.5)
        left = _RIGHT - 34
        self.set_fill_color(*self.palette.accent)
        self.rect(left, top + 41, 34, 24, style="F", round_corners=True, corner_radius=3)
        self.put(
            left + 17, top + 47.5, "SEAT", size=8, colour=WHITE, weight="Semibold", align="centre"
        )
        self.put(
            left + 17, top + 60, segment.seat_text, size=30, colour=WHITE, weight="Bold",
            align="centre", room=30,
        )  # fmt: skip
        self.cells([segment.details[:-2], segment.details[-2:]], top + 41.5, right=left - 6)
        return top + _SEGMENT

    def arrow(self, x: float, y: float) -> None:
        """Draw a line to the destination."""
        self.set_draw_color(*self.palette.accent)
        self.set_fill_color(*self.palette.accent)
        self.set_line_width(0.7)
        self.line(x - 14, y, x + 11, y)
        self.polygon([(x + 10, y - 2.4), (x + 15, y), (x + 10, y + 2.4)], style="F")

    def symbol(self, face: Face, top: float) -> None:
        if top + _SYMBOL + 16 > _BOTTOM:  # more than two segments: the barcode has its own page
            self.add_page()
            top = 20.0
        self.set_draw_color(*MUTED)
        self.set_dash_pattern(dash=1.5, gap=1.5)
        self.set_line_width(0.25)
        self.line(0, top, _WIDTH, top)
        self.set_dash_pattern()
        columns, runs = black_modules(face.bcbp)
        module = _SYMBOL / columns
        left, upper = (_WIDTH - _SYMBOL) / 2, top + 6.5
        self.set_fill_color(0, 0, 0)
        for column, row, length in runs:
            # Printers and viewers leave hairlines between rows that only touch.
            self.rect(
                left + column * module, upper + row * module, length * module, module * 1.02,
                style="F",
            )  # fmt: skip
        numbers = "  ·  ".join(
            f"{segment.flight}  {segment.sequence:03d}" for segment in face.segments
        )
        self.put(
            _WIDTH / 2, upper + _SYMBOL + 7, f"{face.booking_reference}  ·  {numbers}", size=11,
            colour=MUTED, weight="Semibold", align="centre",
        )  # fmt: skip
