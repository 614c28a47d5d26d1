"""Drawn boarding passes: their barcodes are read back as a gate would."""

import asyncio
import shutil
import subprocess
import threading
from datetime import UTC, date, datetime, timedelta, timezone
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from pss_dcs import bcbp
from pss_dcs.drawing import Brand, Face, FaceSegment, _drawn, draw_pdf, draw_png, drawn
from pss_dcs.drawing._palette import WHITE, _contrast, palette_of
from pss_dcs.drawing._typeface import drawable

BRAND = Brand(name="Aurelis Airways", primary_color="#0B2A4A", accent_color="#B8862D")
LONGEST = "Maximiliane Elisabeth von und zu Hohenstein-Wolfeschlegelsteinhausen"


def segment(number: int) -> FaceSegment:
    zone = timezone(timedelta(hours=1))
    return FaceSegment(
        flight=f"Q110{number}",
        flight_date=date(2026, 11, 23),
        origin="LHR",
        origin_name="London",
        destination="VIE",
        destination_name="Vienna",
        departing_at=datetime(2026, 11, 23, 22, 10, tzinfo=UTC),
        arriving_at=datetime(2026, 11, 24, 1, 30, tzinfo=zone),
        cabin="premium_economy",
        seat="12A",
        sequence=number,
    )


def face(name: str = "Jörg Müller", legs: int = 1) -> Face:
    written = bcbp.Bcbp(
        passenger_name=bcbp.printed_name(name, ""),
        legs=[
            bcbp.Leg(
                booking_reference="K7PXQ2",
                origin="LHR",
                destination="VIE",
                carrier="Q1",
                flight_number=str(number),
                day_of_year=327,
                compartment="Y",
                seat="12A",
                sequence=str(number),
                status="1",
                repeated=bcbp.Repeated(document_number="1234567890"),
            )
            for number in range(1, legs + 1)
        ],
    )
    return Face(
        passenger_name=name,
        passenger_type="adult",
        booking_reference="K7PXQ2",
        ticket_number="9911234567890",
        bcbp=bcbp.write(written),
        segments=[segment(number) for number in range(1, legs + 1)],
        bag_tags=["0991000001"],
    )


def barcodes(image: Image.Image) -> list[str]:
    return [found.text for found in zxingcpp.read_barcodes(image)]


@pytest.mark.parametrize("legs", [1, 2, 4])
def test_the_barcode_is_read_from_the_image(legs: int) -> None:
    """An Aztec symbol with exactly the text of the pass, on an image as wide as a telephone."""
    drawn = face(legs=legs)
    image = Image.open(BytesIO(draw_png(drawn, BRAND)))
    assert image.width == 1080
    assert barcodes(image) == [drawn.bcbp]


def rendered(document: bytes, folder: Path) -> list[Image.Image]:
    """Render the pages at 150 dots per inch, with whichever renderer is installed."""
    if find_spec("pypdfium2"):
        import pypdfium2  # noqa: PLC0415 - not everybody has it

        return [page.render(scale=150 / 72).to_pil() for page in pypdfium2.PdfDocument(document)]
    poppler = shutil.which("pdftoppm")
    if poppler is None:
        pytest.skip("neither pypdfium2 nor pdftoppm (poppler-utils) is installed to render a PDF")
    (folder / "pass.pdf").write_bytes(document)
    subprocess.run(
        [poppler, "-r", "150", "-png", "pass.pdf", "page"], cwd=folder, check=True, timeout=60
    )
    return [Image.open(page) for page in sorted(folder.glob("page*.png"))]


@pytest.mark.parametrize("legs", [1, 2, 4])
def test_the_barcode_is_read_from_the_printed_page(tmp_path: Path, legs: int) -> None:
    """The PDF, rendered to pixels, has one symbol for each pass."""
    passes = [face(legs=legs), face(LONGEST, legs)]
    pages = rendered(draw_pdf(passes, BRAND), tmp_path)
    found = [text for page in pages for text in barcodes(page)]
    assert found == [drawn.bcbp for drawn in passes]


def test_the_pdf_has_a_page_for_each_pass() -> None:
    """Two passes, two pages of A4."""
    document = draw_pdf([face(), face(LONGEST)], BRAND)
    assert document.startswith(b"%PDF-")
    assert document.count(b"/Type /Page\n") == 2


@given(name=st.text(min_size=1, max_size=80), brand=st.text(max_size=80))
@settings(max_examples=8, deadline=None)
def test_any_name_can_be_drawn(name: str, brand: str) -> None:
    """Letters of any script, and none at all, are drawn or transliterated."""
    drawn = face(name)
    colours = Brand(name=brand, primary_color=brand[:7], tagline=name)
    assert barcodes(Image.open(BytesIO(draw_png(drawn, colours)))) == [drawn.bcbp]
    assert draw_pdf([drawn], colours)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Jörg Müller-Łukasiewicz", "Jörg Müller-Łukasiewicz"),
        ("Γιώργος Παπαδόπουλος", "Γιώργος Παπαδόπουλος"),
        ("山田 Taro", "Taro"),
        ("山田", "?"),
        ("Line\nBreak\x00", "Line Break"),
    ],
)
def test_names_are_shown_in_their_own_letters(name: str, shown: str) -> None:
    """As far as the typeface has them."""
    assert drawable(name) == shown


@given(st.tuples(*[st.integers(0, 255)] * 3), st.tuples(*[st.integers(0, 255)] * 3))
def test_any_brand_can_be_read(primary: tuple[int, int, int], accent: tuple[int, int, int]) -> None:
    """Text on the brand's colours has the contrast that WCAG asks for large text at least."""
    brand = Brand(
        name="",
        primary_color="#" + bytes(primary).hex(),
        accent_color="#" + bytes(accent).hex(),
    )
    palette = palette_of(brand)
    assert _contrast(palette.on_primary, palette.primary) >= 4
    assert _contrast(palette.accent, WHITE) >= 4.5


async def test_a_pass_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same pass asked for again comes from memory; another seat, or colour, is drawn."""
    asked: list[str | None] = []

    def draw(shown: Face, _brand: Brand) -> bytes:
        asked.append(shown.segments[0].seat)
        return b"drawing"

    monkeypatch.setattr(_drawn, "draw_png", draw)
    shown = face("Drawn Once")
    moved = replace(shown, segments=[replace(shown.segments[0], seat="14F")])
    for one, brand in ((shown, BRAND), (shown, BRAND), (moved, BRAND), (moved, Brand(name="X"))):
        assert await drawn("png", one, brand) == b"drawing"
    assert asked == ["12A", "14F", "14F"]


async def test_two_passes_at_most_are_drawn_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are asked for together, the others wait."""
    at_work, most, pair = 0, 0, threading.Barrier(2, timeout=10)
    lock = threading.Lock()

    def draw(_face: Face, _brand: Brand) -> bytes:
        nonlocal at_work, most
        with lock:
            at_work += 1
            most = max(most, at_work)
        pair.wait()
        with lock:
            at_work -= 1
        return b""

    monkeypatch.setattr(_drawn, "draw_png", draw)
    faces = [face(f"Passenger {chr(65 + number)}") for number in range(6)]
    await asyncio.gather(*(drawn("png", one, BRAND) for one in faces))
    assert most == 2
