"""What a preview costs beside a step: ``python -m tests.tui.preview_cost [--step SECONDS]``.

A preview of Stable Diffusion 1.5 at 512 pixels goes the whole way: what the network believes is under
the noise, its colours, the message from worker to engine and from there to the studio, and there as text
or as a picture of 80 x 40 cells for each kind of terminal. The figures are processor time, of all these
processes together, at least of several; a step is what `sdtui bench` measures, 3.2 s unless told otherwise.

Exit code 1 where a preview takes more than 1 % of a step.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from diffusers import DDIMScheduler
from PIL import Image
from rich.console import Console
from textual._compositor import LayoutUpdate
from textual.geometry import Region, Size

from sdtui.bundle import manifest
from sdtui.diffusion.events import Preview, Step
from sdtui.diffusion.preview import denoised, render
from sdtui.engine.framing import Unframer, frame
from sdtui.engine.protocol import EngineMessage, Memory, Progress
from sdtui.terminal.answers import CellSize
from sdtui.terminal.drawing import Box, Drawn, preview
from sdtui.terminal.halfblock import half_blocks
from sdtui.terminal.quantization import PASSING_COLOURS
from sdtui.tui.frame import Frame
from sdtui.tui.projector import PASSING_SECONDS
from sdtui.tui.strips import strips

STEP_SECONDS, SHARE = 3.2, 0.01
LATENTS = (1, 4, 64, 64)
BOX = Box(80, 40, CellSize(8, 16), identity=20)
RATE = 10e6
"""Bytes a second: a terminal on this machine, for which nothing is saved."""
ROUNDS = 20
PROTOCOLS: tuple[Drawn, ...] = ("kitty", "iterm2", "sixel")


def made(sample: np.ndarray, prediction: np.ndarray, scheduler: DDIMScheduler) -> Preview:
    """In the worker: latents to colours."""
    colours = manifest.Preview(
        matrix=[[0.3, 0.2, 0.2, -0.2], [0.2, 0.3, 0.1, -0.2], [0.2, 0.1, -0.3, -0.1]], bias=[0.0] * 3
    )
    return render(denoised(scheduler, sample, prediction, 500.0), colours)


def sent(shown: Preview) -> Preview:
    """From the worker to the engine, and from the engine to the studio."""
    message = Progress("job", Step(5, 20, 16.0, shown), Memory(*[0] * len(Memory.__struct_fields__)))
    for _ in range(2):
        unframer: Unframer[EngineMessage] = Unframer(EngineMessage)
        (message,) = unframer.feed(frame(message))  # type: ignore[assignment]
    event = message.event
    assert isinstance(event, Step) and event.preview
    return event.preview


def drawn(protocol: Drawn, image: Image.Image) -> bytes:
    """In the studio, for a terminal with pictures."""
    return b"".join(piece.at(4, 2) for piece in preview(protocol, image, BOX, int(PASSING_SECONDS * RATE)))


class Text:
    """In the studio, as half blocks: only what differs from the preview before is written."""

    def __init__(self) -> None:
        self._frame = Frame()
        self._console = Console(color_system="truecolor", force_terminal=True, legacy_windows=False)

    def __call__(self, image: Image.Image) -> bytes:
        rows = strips(half_blocks(image, BOX.columns, BOX.rows, "truecolor", PASSING_COLOURS))
        update = LayoutUpdate([[row] for row in rows], Region(0, 0, BOX.columns, BOX.rows))
        return self._frame.change(update, Size(BOX.columns, BOX.rows), self._console).text.encode()


def least(rounds: Sequence[Callable[[], object]]) -> float:
    """Seconds of the processor, the least of several rounds."""
    taken = []
    for work in rounds:
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return min(taken)


def main() -> int:
    """Print a line for each part and each kind of terminal; returns 1 where one is above the limit."""
    parser = argparse.ArgumentParser(description="What a preview costs beside a step.")
    parser.add_argument("--step", type=float, default=STEP_SECONDS, metavar="SECONDS")
    step = parser.parse_args().step
    chance = np.random.default_rng(0)
    samples = chance.standard_normal((ROUNDS, *LATENTS), np.float32)
    scheduler = DDIMScheduler()
    shown = made(samples[0], samples[1], scheduler)
    making = least([partial(made, sample, samples[0], scheduler) for sample in samples])
    sending = least([partial(sent, shown)] * ROUNDS)
    print(f"making {making * 1e3:.1f} ms, sending {sending * 1e3:.1f} ms, a step {step:g} s")
    images = [Image.frombytes("RGB", (64, 64), made(each, samples[0], scheduler).rgb) for each in samples]
    ways: dict[str, Callable[[Image.Image], bytes]] = {
        **{protocol: partial(drawn, protocol) for protocol in PROTOCOLS},
        "half blocks": Text(),
    }
    held = True
    for name, way in ways.items():
        drawing = least([partial(way, image) for image in images])
        share = (making + sending + drawing) / step
        held &= share <= SHARE
        figures = f"{drawing * 1e3:6.1f} ms {len(way(images[0])) / 1e3:7.1f} kB {share:8.2%} of a step"
        print(f"{name:12} {figures}{'' if share <= SHARE else '  TOO MUCH'}")
    return not held


if __name__ == "__main__":
    sys.exit(main())
