"""PNG as PIL reads it."""

from __future__ import annotations

from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sdtui.terminal.png import png
from tests.terminal.pictures import emoji


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.randoms(use_true_random=False))
def test_every_pixel_is_found_again(width: int, height: int, chance: object) -> None:
    image = Image.frombytes("RGB", (width, height), chance.randbytes(3 * width * height))  # type: ignore[attr-defined]
    shown = Image.open(BytesIO(png(image)))
    shown.load()
    assert (shown.format, shown.mode, shown.size) == ("PNG", "RGB", image.size)
    assert shown.tobytes() == image.tobytes()


def test_it_is_hardly_longer_than_pils() -> None:
    data = BytesIO()
    emoji().save(data, "PNG", compress_level=1)
    assert len(png(emoji())) < 1.2 * len(data.getvalue())
