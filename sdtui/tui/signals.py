"""A terminal that hangs up, as a lost connection does, and a system that asks the studio to leave."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING

from sdtui.tui.remembered import remember

if TYPE_CHECKING:
    from sdtui.tui.app import Studio

HAND_OVER_SECONDS = 2.0
"""How long what was just asked for may take to reach the engine."""


def heed(studio: Studio) -> None:
    """Leave in order when told to: nothing that was typed is lost, not even in the last moment."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, _hang_up, studio)
    loop.add_signal_handler(signal.SIGTERM, studio.leave)


def _hang_up(studio: Studio) -> None:
    """Keep and hand over everything, then end as a program without a terminal does: nothing more to draw."""
    studio.create.gather()
    studio.link.stop()
    with contextlib.suppress(OSError):
        remember(studio.session.remembered())
    studio.link.wait(HAND_OVER_SECONDS)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGHUP)
