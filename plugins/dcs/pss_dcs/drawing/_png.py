"""A boarding pass as a PNG, 1080 pixels wide: it fills a telephone's screen."""

from io import BytesIO

from PIL import Image, ImageDraw

from ._face import Brand, Face, FaceSegment
from ._palette import INK, LINE, MUTED, PAPER, WHITE, Colour, Palette, palette_of
from ._symbol import symbol_image
from ._typeface import Weight, drawable, font

__all__ = ["draw_png"]

WIDTH = 1080
_MARGIN = 40
_LEFT = 104
_RIGHT = WIDTH - _LEFT
_RADIUS = 44
_HEADER = 212
_SEGMENT = 620
_GAP = 44
_PASSENGER = 308
_NAME_LINE = 60
_ROW = 118
_SYMBOL = 640
_FOOTER = 148
_NOTCH = 26


def draw_png(face: Face, brand: Brand) -> bytes:
    """Draw the pass; every segment has its own block, the barcode stands at the bottom."""
    name = _name_lines(drawable(face.passenger_name))
    height = (
        2 * _MARGIN
        + _HEADER
        + _PASSENGER
        + (len(name) - 1) * _NAME_LINE
        + len(face.segments) * _SEGMENT
        + _GAP
        + _SYMBOL
        + _FOOTER
    )
    canvas = _Canvas(height, palette_of(brand))
    top = canvas.header(brand, _MARGIN)
    top = canvas.passenger(face, name, top)
    for segment in face.segments:
        top = canvas.segment(segment, top)
    tear = top
    canvas.symbol(face, top + _GAP)
    return canvas.png(tear)


def _name_lines(name: str) -> list[str]:
    """Return the name on one line, or on two, parted where they are most alike in length."""
    words = name.split(" ")
    if len(words) == 1 or font("Bold", 48).getlength(name) <= _RIGHT - _LEFT:
        return [name]
    parted = [(" ".join(words[:at]), " ".join(words[at:])) for at in range(1, len(words))]
    return list(min(parted, key=lambda lines: max(map(len, lines))))


class _Canvas:
    """The card while it is drawn, in pixels from the top left corner."""

    def __init__(self, height: int, palette: Palette) -> None:
        self.image = Image.new("RGB", (WIDTH, height), WHITE)
        self.draw = ImageDraw.Draw(self.image)
        self.palette = palette
        self.height = height

    def text(
        self,
        at: tuple[float, float],
        text: str,
        *,
        size: int,
        colour: Colour = INK,
        weight: Weight = "Regular",
        anchor: str = "ls",
        room: int = _RIGHT - _LEFT,
    ) -> None:
        """One line of text, drawn smaller, then cut, where it is wider than `room`."""
        smallest = max(int(size * 0.6), 20)
        while size > smallest and self.width_of(text, size, weight) > room:
            size -= 2
        if self.width_of(text, size, weight) > room:
            while text and self.width_of(f"{text}…", size, weight) > room:
                text = text[:-1].rstrip()
            text = f"{text}…"
        self.draw.text(at, text, font=font(weight, size), fill=colour, anchor=anchor)

    def width_of(self, text: str, size: int, weight: Weight) -> float:
        return float(font(weight, size).getlength(text))

    def label(self, x: float, y: float, text: str, anchor: str = "ls") -> None:
        self.text((x, y), text.upper(), size=25, colour=MUTED, weight="Semibold", anchor=anchor)

    def header(self, brand: Brand, top: int) -> int:
        bottom = top + _HEADER
        self.draw.rectangle((0, 0, WIDTH, bottom), fill=self.palette.primary)
        middle = top + _HEADER // 2
        baseline = middle + (2 if brand.tagline else 20)
        self.text(
            (_LEFT, baseline), drawable(brand.name), size=60, colour=self.palette.on_primary,
            weight="Bold", room=560,
        )  # fmt: skip
        if brand.tagline:
            self.text(
                (_LEFT, middle + 50), drawable(brand.tagline), size=30,
                colour=self.palette.on_primary_muted, room=560,
            )  # fmt: skip
        self.text(
            (_RIGHT, baseline), "Boarding pass", size=36, colour=self.palette.on_primary,
            weight="Semibold", anchor="rs", room=280,
        )  # fmt: skip
        return bottom

    def passenger(self, face: Face, name: list[str], top: int) -> int:
        self.label(_LEFT, top + 72, "Passenger")
        baseline = top + 132
        for number, line in enumerate(name):
            size = 56 if len(name) == 1 else 50
            self.text((_LEFT, baseline + number * _NAME_LINE), line, size=size, weight="Bold")
        below = (len(name) - 1) * _NAME_LINE
        self.cells([face.facts], top + 192 + below)
        return top + _PASSENGER + below

    def cells(self, rows: list[list[tuple[str, str]]], top: int, right: int = _RIGHT) -> None:
        """Labels over texts in rows; columns stand under those of the first row."""
        widths = [
            max(
                self.width_of(text, 38, "Semibold"),
                self.width_of(label.upper(), 25, "Semibold"),
                self.width_of(rows[-1][0][1], 38, "Semibold") if column == 0 else 0,
                self.width_of(rows[-1][0][0].upper(), 25, "Semibold") if column == 0 else 0,
            )
            for column, (label, text) in enumerate(rows[0])
        ]
        gap = min((right - _LEFT - sum(widths)) / max(len(widths) - 1, 1), 96)
        starts = [_LEFT + sum(widths[:n]) + n * gap for n in range(len(widths))]
        for number, row in enumerate(rows):
            y = top + number * _ROW
            for x, (label, text) in zip(starts, row, strict=False):
                self.label(x, y + 24, label)
                self.text((x, y + 70), text, size=38, weight="Semibold", room=int(right - x))

    def segment(self, segment: FaceSegment, top: int) -> int:
        self.draw.line((_LEFT, top, _RIGHT, top), fill=LINE, width=2)
        self.route(segment, top + 64)
        box = (_RIGHT - 236, top + 372, _RIGHT, top + 572)
        self.draw.rounded_rectangle(box, radius=24, fill=self.palette.accent)
        centre = (box[0] + box[2]) // 2
        self.text(
            (centre, box[1] + 52), "SEAT", size=25, colour=WHITE, weight="Semibold", anchor="ms"
        )
        self.text(
            (centre, box[1] + 150), segment.seat_text, size=92, colour=WHITE, weight="Bold",
            anchor="ms", room=200,
        )  # fmt: skip
        self.cells([segment.details[:-2], segment.details[-2:]], top + 372, right=box[0] - 40)
        return top + _SEGMENT

    def route(self, segment: FaceSegment, top: int) -> None:
        baseline = top + 108
        half = (_RIGHT - _LEFT) // 2 - 40
        self.text((_LEFT - 6, baseline), segment.origin, size=144, weight="Bold")
        self.text((_RIGHT + 4, baseline), segment.destination, size=144, weight="Bold", anchor="rs")
        for x, anchor, name, time in (
            (_LEFT, "ls", segment.origin_name, f"{segment.departing_at:%H:%M}"),
            (_RIGHT, "rs", segment.destination_name, segment.arrival_text),
        ):
            self.text(
                (x, baseline + 58), drawable(name), size=34, colour=MUTED, anchor=anchor, room=half
            )
            self.text(
                (x, baseline + 134), time, size=60, colour=self.palette.accent, weight="Semibold",
                anchor=anchor,
            )  # fmt: skip
        self.arrow(WIDTH // 2, baseline - 50)

    def arrow(self, x: int, y: int) -> None:
        """Draw a dotted line to the destination with an aeroplane on it."""
        for step in range(-104, 105, 26):
            if abs(step) > 52:  # noqa: PLR2004 - the aeroplane's room
                self.draw.ellipse((x + step - 4, y - 4, x + step + 4, y + 4), fill=LINE)
        scale = 4
        size = 88
        plane = Image.new("L", (size * scale, size * scale), 0)
        pen = ImageDraw.Draw(plane)
        outline = [
            (44, 4), (49, 10), (50, 30), (82, 52), (82, 60), (50, 50), (49, 68), (60, 77),
            (60, 83), (44, 78), (28, 83), (28, 77), (39, 68), (38, 50), (6, 60), (6, 52),
            (38, 30), (39, 10),
        ]  # fmt: skip
        pen.polygon([(px * scale, py * scale) for px, py in outline], fill=255)
        plane = plane.rotate(-90).resize((size, size), Image.Resampling.LANCZOS)
        self.image.paste(
            Image.new("RGB", (size, size), self.palette.accent), (x - 44, y - 44), plane
        )

    def symbol(self, face: Face, top: int) -> None:
        symbol = symbol_image(face.bcbp, _SYMBOL - 20)
        left = (WIDTH - symbol.width) // 2
        self.image.paste(symbol, (left, top + (_SYMBOL - symbol.height) // 2))
        numbers = "  ·  ".join(
            f"{segment.flight}  {segment.sequence:03d}" for segment in face.segments
        )
        self.text(
            (WIDTH // 2, top + _SYMBOL + 64), f"{face.booking_reference}  ·  {numbers}", size=34,
            colour=MUTED, weight="Semibold", anchor="ms",
        )  # fmt: skip

    def png(self, tear: int) -> bytes:
        """Round the card's corners, notch it at the tear line, and encode it."""
        for x in range(_MARGIN + _NOTCH + 22, WIDTH - _MARGIN - _NOTCH - 32, 24):
            self.draw.line((x, tear, x + 12, tear), fill=LINE, width=3)
        scale = 2
        mask = Image.new("L", (WIDTH * scale, self.height * scale), 0)
        pen = ImageDraw.Draw(mask)
        edges = (_MARGIN, _MARGIN, WIDTH - _MARGIN, self.height - _MARGIN)
        pen.rounded_rectangle(
            tuple(edge * scale for edge in edges), radius=_RADIUS * scale, fill=255
        )
        for x in (_MARGIN, WIDTH - _MARGIN):
            pen.circle((x * scale, tear * scale), _NOTCH * scale, fill=0)
        mask = mask.resize(self.image.size, Image.Resampling.LANCZOS)
        paper = Image.new("RGB", self.image.size, PAPER)
        paper.paste(self.image, (0, 0), mask)
        buffer = BytesIO()
        paper.save(buffer, "PNG", compress_level=6)
        return buffer.getvalue()
