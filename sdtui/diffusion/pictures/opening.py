"""Pictures that people give: whatever a file holds, it becomes RGB or one clear line."""

from __future__ import annotations

import io
import warnings
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from sdtui.errors import SdtuiError
from sdtui.files import read_regular, reason
from sdtui.history.inputs import MAX_BYTES

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "AVIF")
"""Those that Pillow decodes itself: for some others it starts a program that the file then steers."""
MAX_PIXELS = 100_000_000
"""A photograph of the largest usual cameras; 300 MB as RGB."""

WHITE, BLACK = (255, 255, 255), (0, 0, 0)

_EXIF_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each orientation of a camera (Exif 2.3, section 4.6.4)."""
_COLOUR_SPACES = {"RGB": "RGB ", "CMYK": "CMYK", "L": "GRAY"}
"""Pillow's modes, and what an ICC profile calls the same."""
_HEIC_BRANDS = (b"heic", b"heix", b"heif", b"mif1", b"msf1", b"hevc")


class PictureError(SdtuiError):
    """A picture that was given cannot be used."""

    def __init__(self, name: str, why: str, remedy: str = "give a PNG or JPEG") -> None:
        super().__init__(f"{name} cannot be used", why, remedy)


def open_picture(
    path: str,
    name: str | None = None,
    *,
    at_least: int | None = None,
    ground: tuple[int, int, int] = WHITE,
) -> Image.Image:
    """The picture in a file as RGB, upright, its colours in sRGB, what is transparent laid on ``ground``.

    CMYK, grey, palettes and 16 bits a channel become 8-bit RGB. A picture that is much larger is opened
    in reduced size, neither side below ``at_least`` pixels. Raises :class:`PictureError` for what is no
    file, no picture, damaged, animated, or above MAX_PIXELS; ``name`` is what it calls the picture.
    """
    name = name or f"the picture {path}"
    content = _read(path, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries, about odd metadata and large pictures
        try:
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse_unusable(name, image)
                if at_least is not None:
                    image.draft(None, (at_least, at_least))  # a JPEG decodes to an eighth for less
                image.load()
                picture = _upright(_flattened(name, image, ground), image)
        except PictureError:
            raise
        except UnidentifiedImageError:
            raise PictureError(name, _what_else(content)) from None
        except Image.DecompressionBombError:
            raise _too_large(name) from None
        except MemoryError:
            raise PictureError(name, "there is not enough memory for it", "give a smaller one") from None
        except Exception as error:  # a decoder in a damaged file raises whatever it comes upon
            raise PictureError(
                name, f"it is damaged ({_first_line(error)})", "get or save it again"
            ) from error
    return picture if at_least is None else _reduced(picture, at_least)


def _read(path: str, name: str) -> bytes:
    try:
        return read_regular(path, MAX_BYTES)
    except OSError as error:
        raise PictureError(name, reason(error), "check the path") from None


def _refuse_unusable(name: str, image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    # An MPO is a photograph with others beside it, made by cameras; the first is the photograph.
    frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if frames > 1:
        raise PictureError(
            name, f"it is a sequence of {frames} pictures", "save the one that you mean as a PNG"
        )


def _flattened(name: str, image: Image.Image, ground: tuple[int, int, int]) -> Image.Image:
    """The colours in 8 bits and sRGB, on ``ground`` where they are transparent."""
    profile = image.info.get("icc_profile")
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        flat = Image.new("RGB", image.size, ground)
        flat.paste(_in_srgb(layer.convert("RGB"), profile), mask=layer.getchannel("A"))
        return flat
    if image.mode.startswith("I"):
        return _from_16_bits(name, image).convert("RGB")
    if image.mode == "F":
        raise PictureError(name, "it holds floating-point numbers", "save it with 8 or 16 bits a channel")
    return _in_srgb(image, profile).convert("RGB")


def _from_16_bits(name: str, image: Image.Image) -> Image.Image:
    """Grey levels 0 to 65535 as 0 to 255; Pillow's own conversion would cut them off at 255."""
    levels = np.asarray(image)
    if levels.size and not 0 <= levels.min() <= levels.max() <= 65535:
        raise PictureError(name, "it has more than 16 bits a channel", "save it with 8 or 16")
    return Image.fromarray(np.rint(levels / 257).astype(np.uint8))


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Colours as screens show them: a phone's photograph is in a wider colour space (P3).

    A profile that is broken, or is not for such a picture, is not followed.
    """
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError):
            theirs = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            fits = theirs.profile.xcolor_space == _COLOUR_SPACES.get(image.mode)
            if fits and "sRGB" not in ImageCms.getProfileDescription(theirs):
                ours = ImageCms.createProfile("sRGB")
                converted = ImageCms.profileToProfile(image, theirs, ours, outputMode="RGB")
                return image if converted is None else converted
    return image


def _upright(picture: Image.Image, image: Image.Image) -> Image.Image:
    """As the camera was held, when the metadata can be read."""
    turn = None
    with suppress(Exception):  # metadata is no reason to refuse a picture
        turn = _TURNS.get(image.getexif().get(_EXIF_ORIENTATION, 1))
    return picture if turn is None else picture.transpose(turn)


def _reduced(picture: Image.Image, at_least: int) -> Image.Image:
    factor = min(picture.size) // at_least
    return picture.reduce(factor) if factor > 1 else picture


def _what_else(content: bytes) -> str:
    if not content:
        return "it is empty"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIC_BRANDS:
        return "it is in the format HEIC, which sdtui cannot read"
    return "it is not a picture that sdtui can read"


def _too_large(name: str) -> PictureError:
    return PictureError(
        name, f"it has more than {MAX_PIXELS // 1_000_000} million pixels", "save it in a smaller size"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
