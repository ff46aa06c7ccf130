"""How far a conversion is, as people read it."""

from __future__ import annotations

import msgspec

from sdtui.conversion import ConversionReport
from sdtui.conversion_page import clock, spoken, stage_words
from sdtui.engine.protocol import Conversion


class Advance(msgspec.Struct, frozen=True):
    """What is being done, how much of the whole is done (0 to 1), and the time left, if that is known."""

    what: str
    done: float
    left: str

    @property
    def percent(self) -> str:
        """Three characters: ``43%``."""
        return f"{int(self.done * 100):>2}%"


def advance_of(conversion: Conversion) -> Advance:
    """How far ``conversion`` is."""
    if conversion.state == "queued":
        return Advance("waiting", 0.0, "")
    if (stage := conversion.stage) is None:
        return Advance("beginning", 0.0, "")
    left = "" if stage.remaining is None else f"{clock(stage.remaining)} left"
    return Advance(stage_words(stage), min(max(stage.fraction, 0.0), 0.99), left)


def verdict(report: ConversionReport, name: str) -> tuple[str, bool]:
    """What to say of a finished conversion, and whether that is good news."""
    below = [each for each in report.networks if not each.faithful]
    if below:
        told = ", ".join(f"{spoken(each.network)} {each.psnr:.1f} of {each.threshold:g} dB" for each in below)
        return f"{name} is not faithful to its source — {told} — more bits keep more", False
    return f"{name} is converted, in {clock(report.seconds)}: choose it in the library", True
