"""The one thing that ``sdtui compress`` is to reach, of all the options that say one."""

from __future__ import annotations

import re
from pathlib import Path

from sdtui.cli.errors import CommandLineError
from sdtui.compress.request import AverageBits, Goal, LeastPsnr, Published, TotalBytes, Uniform
from sdtui.conversion import PALETTE_BITS

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


def goal_of(
    bits: float | None = None,
    psnr: float | None = None,
    size: str | None = None,
    recipe: str | None = None,
    *,
    mixed: bool = False,
    linear: bool = False,
    group_size: int | None = None,
) -> Goal:
    """What the options ask for together. Raises :class:`CommandLineError` unless it is one thing."""
    options = {"--bits": bits, "--psnr": psnr, "--size": size, "--recipe": recipe}
    given = [name for name, value in options.items() if value is not None]
    if len(given) > 1 or not (given or linear) or (linear and (mixed or given not in ([], ["--bits"]))):
        named = " and ".join([*given, *["--mixed"] * mixed, *["--linear"] * linear])
        raise CommandLineError(
            "the goal is not clear",
            f"there are {named}" if named else "none was given",
            "give one of --bits, --psnr, --size, --recipe, --linear",
        )
    if linear:
        return _linear(bits, group_size)
    if psnr is not None:
        return LeastPsnr(psnr)
    if size is not None:
        return TotalBytes(parse_bytes(size))
    if recipe is not None:
        return _published(recipe)
    assert bits is not None
    if mixed or bits % 1:
        return AverageBits(bits)
    return _palette(bits, group_size)


def parse_bytes(text: str) -> int:
    """``1.2GB``, ``800k`` or ``5000`` as bytes. Raises :class:`CommandLineError`."""
    found = re.fullmatch(r"\s*(\d+\.?\d*|\.\d+)\s*([KMG]?B?)\s*", text, re.IGNORECASE)
    if found is None:
        raise CommandLineError("size is not valid", f"{text!r} is no number of bytes", "write it as 1.2GB")
    return round(float(found[1]) * _UNITS[found[2].upper().removesuffix("B")])


def _linear(bits: float | None, group_size: int | None) -> Goal:
    if group_size is not None:
        raise CommandLineError("group_size is not valid", "only palettes are shared", "leave out --linear")
    if bits not in (None, 4, 8):
        raise CommandLineError("bits is not valid", f"there are no integers of {bits:g}", "give 8, or 4")
    return Uniform("linear-4-b32" if bits == 4 else "linear-8")


def _palette(bits: float, group_size: int | None) -> Goal:
    if bits not in PALETTE_BITS:
        raise CommandLineError(
            "bits is not valid",
            f"there are no palettes of {bits:g}",
            f"give one of {', '.join(map(str, PALETTE_BITS))}, or add --mixed",
        )
    return Uniform(f"palette-{bits:.0f}" + (f"-g{group_size}" if group_size is not None else ""))


def _published(text: str) -> Goal:
    file, colon, name = text.rpartition(":")
    if not (file and colon and name):
        raise CommandLineError(
            "recipe is not valid",
            f"{text!r} names no recipe",
            "write it as FILE:recipe_4.50_bit",
        )
    return Published(str(Path(file).expanduser().absolute()), name)
