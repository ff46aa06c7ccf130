"""Whatever a person gives as a picture is opened as they see it, or refused in one line."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from sdtui.diffusion.pictures.opening import BLACK, MAX_PIXELS, PictureError, open_picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def corners(picture: Image.Image) -> list[Any]:
    """Upper left, upper right, lower left."""
    right, bottom = picture.width - 1, picture.height - 1
    return [picture.getpixel(at) for at in ((0, 0), (right, 0), (0, bottom))]


def flag() -> Image.Image:
    """A picture that looks different from every side: 24 x 16, red upper left, green right, blue below."""
    picture = Image.new("RGB", (24, 16), "white")
    picture.paste(RED, (0, 0, 8, 8))
    picture.paste(GREEN, (16, 0, 24, 8))
    picture.paste(BLUE, (0, 8, 8, 16))
    return picture


def saved(path: Path, picture: Image.Image, **options: Any) -> str:
    picture.save(path, **options)
    return str(path)


def refusal(path: Path | str) -> str:
    with pytest.raises(PictureError) as caught:
        open_picture(str(path))
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "bmp", "gif", "ppm"])
def test_formats(tmp_path: Path, ending: str) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    opened = open_picture(saved(tmp_path / f"flag.{ending}", flag(), **options))
    assert (opened.mode, opened.size) == ("RGB", (24, 16))
    assert opened.tobytes() == flag().tobytes()


@pytest.mark.parametrize("ending", ["jpg", "avif"])
def test_formats_that_lose_a_little(tmp_path: Path, ending: str) -> None:
    opened = open_picture(saved(tmp_path / f"flag.{ending}", flag(), quality=95))
    assert np.allclose(corners(opened), [RED, GREEN, BLUE], atol=8)


def test_the_name_says_nothing_about_what_a_file_holds(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved(tmp_path / "really.jpg", flag(), format="PNG"))
    assert corners(open_picture(str(tmp_path / "link"))) == [RED, GREEN, BLUE]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_upright(tmp_path: Path, orientation: int) -> None:
    """What a camera stores turned or mirrored comes back as it was seen (Exif 2.3, section 4.6.4)."""
    stored = {
        1: lambda picture: picture,
        2: lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda picture: picture.rotate(180),
        4: lambda picture: picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda picture: picture.rotate(90, expand=True).transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        6: lambda picture: picture.rotate(90, expand=True),
        7: lambda picture: picture.rotate(-90, expand=True).transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        8: lambda picture: picture.rotate(-90, expand=True),
    }[orientation](flag())
    exif = Image.Exif()
    exif[0x0112] = orientation
    opened = open_picture(saved(tmp_path / "photo.png", stored, exif=exif))
    assert opened.tobytes() == flag().tobytes()


def test_16_bits_keep_all_their_grey(tmp_path: Path) -> None:
    levels = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    opened = open_picture(saved(tmp_path / "depth.png", Image.fromarray(levels)))
    assert np.array_equal(np.asarray(opened)[:, :, 1].ravel(), np.arange(256))


def test_cmyk(tmp_path: Path) -> None:
    cmyk = Image.new("CMYK", (8, 8), (255, 255, 0, 0))
    assert np.allclose(corners(open_picture(saved(tmp_path / "print.jpg", cmyk)))[0], BLUE, atol=3)


@pytest.mark.parametrize("mode", ["1", "L", "P", "YCbCr"])
def test_other_colours(tmp_path: Path, mode: str) -> None:
    opened = open_picture(saved(tmp_path / "x.tif", flag().convert(mode)))
    assert opened.tobytes() == flag().convert(mode).convert("RGB").tobytes()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_shows_the_ground(tmp_path: Path, mode: str) -> None:
    layer = Image.new("LA", (8, 8), (90, 0))
    layer.paste((90, 255), (0, 0, 4, 8))
    path = saved(
        tmp_path / "layer.png", layer.convert(mode) if mode != "P" else layer.convert("RGBA").quantize()
    )
    on_white, on_black = open_picture(path), open_picture(path, ground=BLACK)
    assert [picture.getpixel((0, 0)) for picture in (on_white, on_black)] == [(90, 90, 90)] * 2
    assert [picture.getpixel((7, 0)) for picture in (on_white, on_black)] == [(255,) * 3, (0,) * 3]


def test_colours_of_a_wider_space_are_brought_to_srgb(tmp_path: Path) -> None:
    linear = linear_profile()
    opened = open_picture(
        saved(tmp_path / "linear.png", Image.new("RGB", (4, 4), (55,) * 3), icc_profile=linear)
    )
    # sRGB's curve takes a linear 55 / 255 to 128 (IEC 61966-2-1).
    assert np.allclose(corners(opened), 128, atol=1)


def test_profiles_that_do_not_fit_are_not_followed(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (
        b"nonsense",
        srgb[:200],
        ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        srgb,
    ):
        path = saved(tmp_path / "x.png", flag(), icc_profile=profile)
        assert open_picture(path).tobytes() == flag().tobytes()


def test_fifty_megapixels_are_opened_in_reduced_size(tmp_path: Path) -> None:
    photo = Image.new("L", (8660, 5774), 200)
    photo.paste(0, (0, 0, 4330, 5774))
    opened = open_picture(saved(tmp_path / "photo.jpg", photo, quality=50), at_least=512)
    assert opened.width / opened.height == pytest.approx(8660 / 5774, rel=0.01)
    assert 512 <= min(opened.size) < 1024
    assert np.allclose(corners(opened), [[0] * 3, [200] * 3, [0] * 3], atol=4)


def test_a_large_png_is_reduced_too(tmp_path: Path) -> None:
    path = saved(tmp_path / "large.png", flag().resize((2400, 1600)))
    assert open_picture(path, at_least=100).size == (150, 100)
    assert open_picture(path).size == (2400, 1600)


def test_absurd_sizes_are_refused_unread(tmp_path: Path) -> None:
    for side in (10_001, 60_000):
        header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
        pixels = zlib.compress(bytes(1000))
        (tmp_path / "bomb.png").write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)
        )
        assert f"more than {MAX_PIXELS // 1_000_000} million pixels" in refusal(tmp_path / "bomb.png")


def test_a_text_that_unpacks_without_end_is_refused(tmp_path: Path) -> None:
    text = b"Comment\0\0" + zlib.compress(bytes(80_000_000), 9)
    content = io.BytesIO()
    flag().save(content, "PNG")
    (tmp_path / "bomb.png").write_bytes(
        content.getvalue()[:33] + chunk(b"zTXt", text) + content.getvalue()[33:]
    )
    assert "damaged" in refusal(tmp_path / "bomb.png")


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_sequences_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"sequence.{ending}"
    flag().save(path, save_all=True, append_images=[flag().rotate(180)])
    assert "a sequence of 2 pictures, save the one that you mean" in refusal(path)


def test_a_camera_that_adds_pictures_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "stereo.jpg"
    flag().resize((240, 160), 0).save(path, "MPO", save_all=True, append_images=[flag()])
    assert np.allclose(corners(open_picture(str(path))), [RED, GREEN, BLUE], atol=8)


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "it is a folder" in refusal(tmp_path)
    assert "it is not a file" in refusal(tmp_path / "pipe")
    assert "it is not a file" in refusal("/dev/zero")
    assert "no such file" in refusal(tmp_path / "absent.png")
    assert "check the path" in refusal(tmp_path / "loop")
    assert "check the path" in refusal("a\0b")


def test_what_is_no_picture(tmp_path: Path) -> None:
    file = tmp_path / "x.png"
    for content, why in (
        (b"", "it is empty"),
        (b"%PDF-1.7", "not a picture"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
    ):
        file.write_bytes(content)
        assert why in refusal(file)
    Image.new("F", (4, 4)).save(tmp_path / "f.tif")
    assert "floating-point" in refusal(tmp_path / "f.tif")
    Image.new("I", (4, 4), 1 << 20).save(tmp_path / "i.tif")
    assert "more than 16 bits" in refusal(tmp_path / "i.tif")


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "tif", "avif"])
@settings(max_examples=25)
@given(where=st.floats(0, 1), byte=st.integers(0, 255), kept=st.floats(0, 1))
def test_damage_is_one_line_or_a_picture(
    tmp_path_factory: pytest.TempPathFactory, ending: str, where: float, byte: int, kept: float
) -> None:
    file = tmp_path_factory.getbasetemp() / f"damaged.{ending}"
    flag().save(file)
    content = bytearray(file.read_bytes())
    content[int(where * (len(content) - 1))] = byte
    file.write_bytes(content[: int(kept * len(content))] if byte % 2 else content)
    try:
        opened = open_picture(str(file), at_least=8)
    except PictureError as error:
        assert "\n" not in str(error)
    else:
        assert opened.mode == "RGB"


def test_half_a_photograph_is_refused(tmp_path: Path) -> None:
    path = Path(saved(tmp_path / "half.jpg", Image.effect_noise((200, 200), 50)))
    path.write_bytes(path.read_bytes()[:5000])
    assert "it is damaged" in refusal(path)


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file (ISO 15948, section 5.3)."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def linear_profile() -> bytes:
    """An ICC profile with sRGB's primaries and no curve: sRGB's own, its curves replaced by gamma 1."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    curve = b"curv" + bytes(8)  # a count of 0 is the identity (ICC.1, section 10.6)
    for index in range(struct.unpack_from(">I", profile, 128)[0]):
        tag, offset = struct.unpack_from(">4sI", profile, 132 + 12 * index)
        if tag in (b"rTRC", b"gTRC", b"bTRC"):
            profile[offset : offset + 12] = curve
        if tag == b"desc":
            profile[offset : offset + 60] = (
                profile[offset : offset + 60].replace(b"s\0R\0G\0B", b"l\0i\0n\0e").replace(b"sRGB", b"line")
            )
    return bytes(profile)
