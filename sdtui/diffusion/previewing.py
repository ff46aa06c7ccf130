"""Who makes the previews of a picture, and how often."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from sdtui.bundle import manifest
from sdtui.diffusion.events import Preview
from sdtui.diffusion.loop import Moment, Show
from sdtui.diffusion.preview import render
from sdtui.runtime import Array, Network

SIDE = 128
"""Pixels along the longer side of a preview: more cells than a terminal draws one in."""

SHARE = 0.1
"""Of the time that steps take, what previews may take besides."""


def show_colours(colours: manifest.Preview | None) -> Show:
    """Previews by the model's matrix after every step; none where it has no matrix."""

    def show(latents: Array, _moment: Moment) -> Preview | None:
        return render(latents, colours) if colours else None

    return show


def decoded(latents: Array, decoder: Network) -> Preview:
    """Latents (1, C, h, w), as the denoiser has them, through a preview decoder.

    Raises NetworkError, and ArithmeticError where the decoder overflowed.
    """
    pixels = decoder.predict({"z": latents.astype(np.float32)})["image"][0]
    if not np.isfinite(pixels).all():
        raise ArithmeticError("a preview's pixels are not finite numbers")
    levels = np.rint((np.clip(pixels, -1, 1) + 1) * 127.5).astype(np.uint8)
    image = Image.fromarray(levels.transpose(1, 2, 0))
    image.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    return Preview(width=image.width, height=image.height, rgb=image.tobytes())


class Sparing:
    """Previews by ``decode``, as often as :data:`SHARE` of the steps' time pays for them.

    What one takes is measured. The first is made at once, on credit; until the next is paid for there
    is none, so that all of them take at most that share and the time of one. The last step has none:
    the picture follows. When ``decode`` has failed, ``instead`` makes the previews that are left.
    """

    def __init__(
        self,
        decode: Callable[[Array], Preview],
        instead: Show,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._decode = decode
        self._instead = instead
        self._clock = clock
        self._failed = False
        self._saved = self._cost = 0.0
        self._left = clock()

    def __call__(self, latents: Array, moment: Moment) -> Preview | None:
        """A preview of what is under the noise (1, C, h, w) after a step, where it is time for one."""
        if self._failed:
            return self._instead(latents, moment)
        self._saved += SHARE * (self._clock() - self._left)
        try:
            if moment.index + 1 == moment.total or self._saved < self._cost:
                return None
            return self._measured(latents)
        except Exception:  # whatever it is, the picture does not need it
            self._failed = True
            return self._instead(latents, moment)
        finally:
            self._left = self._clock()

    def _measured(self, latents: Array) -> Preview:
        began = self._clock()
        preview = self._decode(latents)
        self._cost = self._clock() - began
        self._saved -= self._cost
        return preview
