"""The memory gauge, its forecast, and unloading."""

from __future__ import annotations

import msgspec
import pytest

from sdtui.engine.protocol import Cancelled, Gauge, Stop
from sdtui.request import GenerationRequest
from sdtui.tui.engine_view import EngineView
from sdtui.tui.memory_forecast import Forecast, estimated, share, verdict
from sdtui.tui.widgets.memory import MemoryGauge
from tests.tui.fake_engine import GB, MEMORY
from tests.tui.opened import make_picture, opened, queued

pytestmark = pytest.mark.usefixtures("home")


def gauge(peak: float, machine: float = 9, key: str = "alt+u") -> str:
    """What the gauge says on a machine of 24 GB whose engine holds 2 GB."""
    widget = MemoryGauge()
    memory = msgspec.structs.replace(MEMORY, machine=round(machine * GB))
    widget.set_reactive(MemoryGauge.engine, EngineView(link="on", memory=memory))
    widget.set_reactive(MemoryGauge.weights, GB)
    widget.set_reactive(MemoryGauge.forecast, Forecast(round(peak * GB), measured=True))
    widget.set_reactive(MemoryGauge.unload_key, key)
    return str(widget.render())


def test_the_next_picture_fits_or_does_not() -> None:
    assert share(MEMORY, 2 * GB) == pytest.approx(9 / 24)
    assert [verdict(part) for part in (0.74, 0.75, 0.84, 0.85, 2.0)] == [
        "fits",
        "tight",
        "tight",
        "too much",
        "too much",
    ]
    assert "next     2.4   fits" in gauge(2.4)
    assert "next    12.0   tight: 79%" in gauge(12)
    assert "next    20.0   too much: 112%" in gauge(20)


def test_a_full_machine_is_told_and_unloading_offered() -> None:
    assert "weights  1.0" in gauge(2)
    assert "full" not in gauge(2)
    assert "alt+u" not in gauge(2)
    assert "19.0/24 79% full" in gauge(2, machine=19)
    assert "21.0/24 88% full!" in gauge(2, machine=21)
    assert "alt+u unloads: 2.0 less" in gauge(2, machine=21)
    assert "unloads" not in gauge(2, machine=21, key="")


def test_activations_are_counted_beside_the_weights() -> None:
    small, large = estimated(GB, 512, 512), estimated(GB, 1024, 1024)
    assert 1.5 * GB < small.peak < 2 * GB
    assert large.peak - GB == 4 * (small.peak - GB)
    assert not small.measured


async def test_the_forecast_is_measured_as_soon_as_it_can_be() -> None:
    async with opened() as studio:
        await studio.shows("next ≈", "fits", "weights")
        make_picture(GenerationRequest(prompt="a", seed=1))
        await studio.type("pear")
        await studio.until(lambda: studio.app.session.forecast == Forecast(1, measured=True))


async def test_unloading_ends_the_engine_and_the_next_picture_brings_it_back() -> None:
    async with opened() as studio:
        await studio.press("alt+u")
        await studio.until(lambda: Stop() in studio.engine.sent)
        studio.engine.say(None)
        await studio.shows("○ asleep", "unloaded: 2.0 GB are free again")
        assert "the engine stopped" not in studio.text
        await studio.generate("pear")
        await studio.until(lambda: studio.app.session.engine.link == "on")


async def test_nothing_is_unloaded_while_a_picture_is_made() -> None:
    async with opened() as studio:
        submit = await studio.generate("pear")
        studio.engine.say(queued(submit))
        await studio.press("alt+u")
        studio.engine.say(Cancelled(submit.job), Gauge(MEMORY, "warm"))
        await studio.shows("stopped")
        assert Stop() not in studio.engine.sent


async def test_an_engine_that_dies_by_itself_is_a_loss() -> None:
    async with opened() as studio:
        studio.engine.say(None)
        await studio.shows("the engine stopped", "gone")
