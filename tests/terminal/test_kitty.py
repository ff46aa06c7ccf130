"""Kitty's protocol: commands as its specification has them, pictures that PIL finds in them again."""

from __future__ import annotations

import base64
import re
import unicodedata
from io import BytesIO

from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from rich.color import Color, ColorSystem

from sdtui.terminal import kitty

COMMAND = re.compile(rb"\x1b_G([a-zA-Z]=[^,;]+(?:,[a-zA-Z]=[^,;]+)*)(?:;([A-Za-z0-9+/=]*))?\x1b\\")


def keys(command: bytes) -> tuple[dict[str, str], bytes]:
    """The keys of one well-formed command and its payload as it was sent."""
    found = COMMAND.fullmatch(command)
    assert found, command[:80]
    return dict(part.split("=") for part in found[1].decode().split(",")), found[2] or b""


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from(["RGB", "L", "P"]))
def test_a_picture_is_found_again_in_what_is_sent(width: int, height: int, mode: str) -> None:
    image = Image.effect_noise((width, height), 90).convert(mode)
    commands = [keys(command) for command in kitty.transmit(image, 42, 30, 20)]
    first, *others = [told for told, _ in commands]
    assert first | {"m": ""} == {
        "a": "T", "U": "1", "i": "42", "p": "1", "c": "30", "r": "20", "f": "100", "q": "2", "m": "",
    }  # fmt: skip
    assert all(set(told) == {"q", "m"} and told["q"] == "2" for told in others)
    assert [told["m"] for told, _ in commands] == ["1"] * len(others) + ["0"]
    payloads = [payload for _, payload in commands]
    assert all(len(payload) <= 4096 and len(payload) % 4 == 0 for payload in payloads)
    assert all(len(payload) == 4096 for payload in payloads[:-1])
    shown = Image.open(BytesIO(base64.b64decode(b"".join(payloads), validate=True)))
    assert shown.format == "PNG"
    assert shown.convert("RGB").tobytes() == image.convert("RGB").tobytes()


def test_a_picture_is_placed_anew_and_deleted_with_its_data() -> None:
    assert keys(kitty.place(42, 7, 5))[0] == {
        "a": "p", "U": "1", "i": "42", "p": "1", "c": "7", "r": "5", "q": "2",
    }  # fmt: skip
    assert keys(kitty.delete(42))[0] == {"a": "d", "d": "I", "i": "42", "q": "2"}


def test_rows_and_columns_are_the_combining_characters_of_the_specification() -> None:
    # https://sw.kovidgoyal.net/kitty/_downloads/…/rowcolumn-diacritics.txt: 297, from Unicode 6.0.
    assert len(kitty.NUMBERS) == len(set(kitty.NUMBERS)) == 297
    told = {0: 0x305, 1: 0x30D, 2: 0x30E, 3: 0x310, 29: 0x36F, 30: 0x483, 296: 0x1D244}
    assert {number: ord(kitty.NUMBERS[number]) for number in told} == told
    for character in kitty.NUMBERS:
        assert unicodedata.category(character) == "Mn"
        assert unicodedata.combining(character) == 230
        assert not unicodedata.decomposition(character)


def test_a_placeholder_is_one_cell_wide_wherever_it_is() -> None:
    for number in range(kitty.LIMIT):
        assert cell_len(kitty.placeholder(number, number)) == 1
    assert cell_len(kitty.following(60)) == 60


def test_normalisation_leaves_every_placeholder_as_it_is() -> None:
    for number in range(kitty.LIMIT):
        text = kitty.placeholder(number, kitty.LIMIT - 1 - number)
        assert unicodedata.normalize("NFC", text) == text


def test_every_number_arrives_as_itself_in_256_and_in_true_colours() -> None:
    for identity in kitty.IDENTITIES:
        red, green, blue = kitty.colour_of(identity, "truecolor")
        assert red << 16 | green << 8 | blue == identity
        sent = Color.from_rgb(*kitty.colour_of(identity, "256")).downgrade(ColorSystem.EIGHT_BIT)
        assert sent.number == identity
