"""How quick and small pictures become, against chafa and timg: ``python -m tests.terminal.encoding``.

Each program runs in a pseudo-terminal of 8 x 16 pixel cells and draws a PNG file of 512 x 512 pixels into
64 x 32 of them; what it takes for a picture of one cell, its start, is taken off. Ours is measured from
the same file to the same cells. The rounds take turns; the figures are those of the quickest, on the wall
and of all processors. What the bytes show is compared with the picture.
Last, for comparison only, chafa's library without file or process, and ours from the same pixels.

Exit code 1 where by any protocol ours takes longer (wall) or sends more than a program that is installed,
all three pictures together, or shows any of them worse.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import pty
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

from PIL import Image
from rich.console import Console
from textual._compositor import LayoutUpdate
from textual.geometry import Region, Size

from sdtui.terminal.answers import CellSize
from sdtui.terminal.drawing import Box, Drawn, draw
from sdtui.terminal.halfblock import half_blocks
from sdtui.tui.frame import Frame
from sdtui.tui.strips import strips
from tests.terminal import pictures, received
from tests.terminal.received import COLUMNS, ROWS, psnr

CELL = CellSize(8, 16)
BOX = Box(COLUMNS, ROWS, CELL, identity=20)
ROUNDS = 7
CHAFA = ["chafa", "-s", f"{COLUMNS}x{ROWS}", "-f"]
TIMG = ["timg", f"-g{COLUMNS}x{ROWS}", "-b", "none"]
PROGRAMS = {
    "kitty": [[*CHAFA, "kitty"], [*TIMG, "-pk"]],
    "iterm2": [[*CHAFA, "iterm"], [*TIMG, "-pi"]],
    "sixel": [[*CHAFA, "sixels"]],
    "halfblock": [[*CHAFA, "symbols", "--symbols", "vhalf", "-c", "full"], [*TIMG, "-ph"]],
}
SHOWN: dict[str, Callable[[bytes], Image.Image]] = {
    "kitty": received.kitty,
    "iterm2": received.iterm2,
    "sixel": received.sixel,
    "halfblock": received.halfblock,
}
PICTURES = {"photograph": pictures.photograph, "emoji": pictures.emoji, "gradient": pictures.gradient}
CONSOLE = Console(color_system="truecolor", force_terminal=True, legacy_windows=False)


class Encoded(NamedTuple):
    """Seconds on the wall and of all processors, and what was sent."""

    wall: float
    processor: float
    sent: bytes


def ours(protocol: str, path: Path) -> Encoded:
    """In this process, from the file."""
    wall, processor = time.perf_counter(), time.process_time()
    with Image.open(path) as image:
        sent = encoded(protocol, image.convert("RGB"))
    return Encoded(time.perf_counter() - wall, time.process_time() - processor, sent)


def encoded(protocol: str, image: Image.Image) -> bytes:
    """A picture as it leaves the studio."""
    if protocol == "halfblock":
        rows = strips(half_blocks(image, COLUMNS, ROWS, "truecolor"))
        update = LayoutUpdate([[row] for row in rows], Region(0, 0, COLUMNS, ROWS))
        return Frame().change(update, Size(COLUMNS, ROWS), CONSOLE).text.encode()
    drawn: Drawn = protocol  # type: ignore[assignment]
    return b"".join(piece.data for piece in draw(drawn, image, BOX, sys.maxsize))


def theirs(command: list[str], path: Path) -> Encoded:
    """A program in a pseudo-terminal, which tells the size of its cells."""
    controller, terminal = pty.openpty()
    tty.setraw(terminal)
    size = struct.pack("HHHH", 60, 140, 140 * CELL.width, 60 * CELL.height)
    fcntl.ioctl(controller, termios.TIOCSWINSZ, size)
    began = time.perf_counter()
    process = subprocess.Popen(
        [*command, str(path)], stdin=subprocess.DEVNULL, stdout=terminal, stderr=subprocess.DEVNULL
    )
    os.close(terminal)
    sent = bytearray()
    try:
        while data := os.read(controller, 1 << 20):
            sent += data
    except OSError:  # the program has closed its end
        pass
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    os.close(controller)
    return Encoded(time.perf_counter() - began, used.ru_utime + used.ru_stime, bytes(sent))


def quickest(rounds: list[Encoded]) -> Encoded:
    """The best of several rounds: whatever else a machine does only adds to it."""
    return Encoded(min(each.wall for each in rounds), min(each.processor for each in rounds), rounds[0].sent)


def compared(protocol: str, files: dict[str, Path], cell: Path) -> bool:
    """Measure the pictures by a protocol in turns, and print a line for each; whether ours won in all."""
    programs = [command for command in PROGRAMS[protocol] if shutil.which(command[0])]
    own, others = Total(), [Total() for _ in programs]
    for name, path in files.items():
        ours(protocol, path)
        rounds = [
            (ours(protocol, path), [(theirs(program, path), theirs(program, cell)) for program in programs])
            for _ in range(ROUNDS)
        ]
        mine = quickest([each for each, _ in rounds])
        picture = Image.open(path).convert("RGB")
        quality = own.add(mine, psnr(SHOWN[protocol](mine.sent), picture))
        print(f"{protocol:10} {name:11} {'sdtui':6} {_figures(mine, quality)}")
        for number, (program, other) in enumerate(zip(programs, others, strict=True)):
            whole = quickest([pairs[number][0] for _, pairs in rounds])
            start = quickest([pairs[number][1] for _, pairs in rounds])
            net = Encoded(whole.wall - start.wall, whole.processor - start.processor, whole.sent)
            shown = other.add(net, psnr(SHOWN[protocol](net.sent), picture))
            print(f"{'':22} {program[0]:6} {_figures(net, shown)}  and {start.wall * 1e3:.0f} ms to start")
    held = [own.against(other, program[0]) for program, other in zip(programs, others, strict=True)]
    return all(held)


class Total:
    """All pictures together: seconds on the wall, bytes, and the quality of each."""

    def __init__(self) -> None:
        self.wall, self.size = 0.0, 0
        self.shown: list[float] = []

    def add(self, one: Encoded, quality: float) -> float:
        """Count one picture; returns its quality."""
        self.wall += one.wall
        self.size += len(one.sent)
        self.shown.append(quality)
        return quality

    def against(self, other: Total, name: str) -> bool:
        """Print how this compares with another, and return whether it is better in everything."""
        slower, longer = self.wall / other.wall, self.size / other.size
        worse = any(mine < its - 0.05 for mine, its in zip(self.shown, other.shown, strict=True))
        held = slower <= 1 and longer <= 1 and not worse
        verdict = "holds" if held else "DOES NOT HOLD"
        shown = "worse" if worse else "no worse"
        print(f"   against {name}: {slower:.2f} of its time, {longer:.3f} of its bytes, {shown}: {verdict}")
        return held


def _figures(one: Encoded, quality: float) -> str:
    shown = "exact" if quality == float("inf") else f"{quality:.1f} dB"
    return (
        f"{one.wall * 1e3:7.1f} ms {one.processor * 1e3:7.1f} ms cpu {len(one.sent) / 1e3:8.1f} kB {shown:>8}"
    )


class Chafa:
    """chafa's library, from pixels to bytes. Raises OSError where there is none."""

    MODES: ClassVar = {"sixel": 1, "kitty": 2, "iterm2": 3}
    RGB8 = 8
    """Its number for three bytes a pixel."""

    class _String(ctypes.Structure):
        _fields_ = (("text", ctypes.c_void_p), ("length", ctypes.c_size_t), ("room", ctypes.c_size_t))

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libchafa.so.0")
        for name in ("canvas_config_new", "canvas_new", "term_db_get_default", "term_db_get_fallback_info"):
            getattr(self._library, f"chafa_{name}").restype = ctypes.c_void_p
        self._library.chafa_canvas_print.restype = ctypes.POINTER(self._String)

    def encode(self, protocol: str, image: Image.Image) -> Encoded:
        """Measure one picture."""
        pointer, chafa = ctypes.c_void_p, self._library
        config = pointer(chafa.chafa_canvas_config_new())
        chafa.chafa_canvas_config_set_geometry(config, COLUMNS, ROWS)
        chafa.chafa_canvas_config_set_cell_geometry(config, CELL.width, CELL.height)
        chafa.chafa_canvas_config_set_pixel_mode(config, self.MODES[protocol])
        information = pointer(
            chafa.chafa_term_db_get_fallback_info(pointer(chafa.chafa_term_db_get_default()))
        )
        pixels = image.tobytes()
        wall, processor = time.perf_counter(), time.process_time()
        canvas = pointer(chafa.chafa_canvas_new(config))
        chafa.chafa_canvas_draw_all_pixels(canvas, self.RGB8, pixels, *image.size, 3 * image.width)
        string = chafa.chafa_canvas_print(canvas, information).contents
        took = time.perf_counter() - wall, time.process_time() - processor
        sent = ctypes.string_at(string.text, string.length)
        chafa.chafa_canvas_unref(canvas)
        return Encoded(*took, sent)


def from_pixels(protocol: str, image: Image.Image) -> Encoded:
    """Ours, without the file."""
    wall, processor = time.perf_counter(), time.process_time()
    sent = encoded(protocol, image)
    return Encoded(time.perf_counter() - wall, time.process_time() - processor, sent)


def beside_the_library() -> None:
    """Print how chafa's library does from pixels, and ours."""
    try:
        chafa = Chafa()
    except OSError as error:
        print(f"chafa's library left out: {error}")
        return
    print("\nfrom pixels, without file and process, chafa's library and ours")
    for name, make in PICTURES.items():
        image = make()
        for protocol in Chafa.MODES:
            pairs = [(from_pixels(protocol, image), chafa.encode(protocol, image)) for _ in range(ROUNDS)]
            for who, one in zip(
                ("sdtui", "chafa"), map(quickest, map(list, zip(*pairs, strict=True))), strict=True
            ):
                print(
                    f"{name:11} {protocol:10} {who:6} {one.wall * 1e3:7.1f} ms {len(one.sent) / 1e3:8.1f} kB"
                )


def main() -> int:
    """Compare everything with everything that is installed; returns 1 where ours does not win."""
    for program in ("chafa", "timg"):
        if not shutil.which(program):
            print(f"{program} left out: it is not installed")
    held, files = True, {}
    with tempfile.TemporaryDirectory() as folder:
        cell = Path(folder) / "cell.png"
        Image.new("RGB", CELL).save(cell)
        for name, make in PICTURES.items():
            path = Path(folder) / f"{name}.png"
            make().save(path)
            files[name] = path
        for protocol in PROGRAMS:
            held &= compared(protocol, files, cell)
    beside_the_library()
    return not held


if __name__ == "__main__":
    sys.exit(main())
