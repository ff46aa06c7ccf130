"""The last line, after the window has closed."""

from __future__ import annotations

from sdtui.tui.engine_view import EngineView


def farewell(engine: EngineView, handed_over: bool) -> str:
    """What becomes of the unfinished jobs; ``handed_over`` says that the engine has taken all of them."""
    pictures, conversions = len(engine.jobs), len(engine.conversions)
    if not handed_over:
        count = pictures + conversions
        return f"the engine did not start in time: the prompt is kept, {count} to be made again"
    what = " and ".join(filter(None, (_counted(pictures, "picture"), _counted(conversions, "conversion"))))
    if pictures + conversions == 1:
        return f"{what} goes on in the engine: sdtui shows it again, sdtui engine stop ends it"
    return f"{what} go on in the engine: sdtui shows them again, sdtui engine stop ends them"


def _counted(count: int, what: str) -> str:
    """``a picture``, ``3 pictures``; nothing for none."""
    return {0: "", 1: f"a {what}"}.get(count, f"{count} {what}s")
