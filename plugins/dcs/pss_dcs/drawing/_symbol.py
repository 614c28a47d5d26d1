"""The Aztec symbol of a barcode's text (ISO/IEC 24778), as modules."""

import zxingcpp
from PIL import Image

__all__ = ["black_modules", "symbol_image"]


def _modules(text: str) -> Image.Image:
    barcode = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.Aztec)
    return Image.fromarray(barcode.to_image(scale=1, add_quiet_zones=False)).convert("L")


def symbol_image(text: str, size: int) -> Image.Image:
    """Return the symbol at most `size` pixels wide, each module a whole number of pixels."""
    modules = _modules(text)
    scale = max(size // modules.width, 1)
    return modules.resize((modules.width * scale, modules.height * scale), Image.Resampling.NEAREST)


def black_modules(text: str) -> tuple[int, list[tuple[int, int, int]]]:
    """Return the symbol's width in modules, and its black runs as (column, row, length)."""
    modules = _modules(text)
    width, height = modules.size
    pixels = modules.tobytes()
    runs: list[tuple[int, int, int]] = []
    for row in range(height):
        start: int | None = None
        for column in range(width + 1):
            black = column < width and pixels[row * width + column] == 0
            if black and start is None:
                start = column
            elif not black and start is not None:
                runs.append((start, row, column - start))
                start = None
    return width, runs
