"""The thread to the engine: order, loss, coming back, and that it holds nobody up."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

import pytest

from sdtui.engine.client import EngineError
from sdtui.engine.protocol import Ask, Cancel, Snapshot, Watch
from sdtui.errors import SdtuiError
from sdtui.tui.background import Background
from sdtui.tui.engine_link import Connected, Connecting, Connection, EngineLink, LinkEvent, Lost
from tests.tui.fake_engine import FakeEngine, snapshot


class Heard:
    """What a link delivered, awaited."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[LinkEvent] = queue.SimpleQueue()

    def __call__(self, event: LinkEvent) -> None:
        self._events.put(event)

    def next(self) -> LinkEvent:
        """The next event, within ten seconds."""
        return self._events.get(timeout=10)

    def expect(self, *kinds: type) -> list[LinkEvent]:
        """The next events, which are of these kinds."""
        events = [self.next() for _ in kinds]
        assert [type(event) for event in events] == list(kinds)
        return events


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def link(engine: FakeEngine, heard: Heard) -> Iterator[EngineLink]:
    made = EngineLink(engine.connect, heard)
    yield made
    made.stop()


def test_it_watches_first_and_sends_in_order(link: EngineLink, engine: FakeEngine, heard: Heard) -> None:
    link.send(Cancel("early"))
    link.start()
    heard.expect(Connecting, Connected, Snapshot)
    link.send(Cancel("late"))
    link.stop()
    assert link.wait(10)
    assert engine.sent == [Watch(), Cancel("early"), Cancel("late")]


def test_after_a_loss_the_next_message_connects_anew(
    link: EngineLink, engine: FakeEngine, heard: Heard
) -> None:
    link.start()
    heard.expect(Connecting, Connected, Snapshot)
    engine.say(None)
    (lost,) = heard.expect(Lost)
    assert isinstance(lost, Lost)
    assert lost.failure.what == "the engine stopped"
    engine.sent.clear()
    link.send(Ask())
    heard.expect(Connecting, Connected, Snapshot)
    link.stop()
    assert link.wait(10)
    assert engine.sent == [Watch(), Ask()]


def test_an_engine_that_cannot_start_is_a_loss_with_its_reason(heard: Heard) -> None:
    def refuse() -> Connection:
        raise EngineError("the engine does not answer", "10 s have passed", "try again")

    link = EngineLink(refuse, heard)
    link.start()
    _, lost = heard.expect(Connecting, Lost)
    assert isinstance(lost, Lost)
    assert lost.failure.why == "10 s have passed"
    link.stop()
    assert link.wait(10)


def test_an_unforeseen_error_is_told_too(heard: Heard) -> None:
    def stumble() -> Connection:
        raise RuntimeError("stumbled")

    link = EngineLink(stumble, heard)
    link.start()
    _, lost = heard.expect(Connecting, Lost)
    assert isinstance(lost, Lost)
    assert "stumbled" in lost.failure.why
    link.stop()
    assert link.wait(10)


def test_a_start_that_hangs_holds_nobody_up(heard: Heard) -> None:
    released = threading.Event()

    def hang() -> Connection:
        released.wait(20)
        return FakeEngine(snapshot())

    link = EngineLink(hang, heard)
    link.start()
    heard.expect(Connecting)
    link.send(Ask())
    link.stop()
    assert not link.wait(0.05)
    assert link._thread.daemon
    released.set()
    assert link.wait(10)


def test_what_is_sent_before_the_start_is_handed_over_all_the_same(
    link: EngineLink, engine: FakeEngine
) -> None:
    link.send(Ask())
    link.stop()
    assert link.wait(10)
    assert engine.sent == [Watch(), Ask()]


def test_the_background_works_in_order_and_survives_errors() -> None:
    failed: queue.SimpleQueue[SdtuiError] = queue.SimpleQueue()
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    background = Background(failed.put)

    def refuse() -> None:
        raise SdtuiError("this", "is", "known")

    def stumble() -> None:
        raise ZeroDivisionError

    for work in (lambda: done.put("first"), refuse, stumble, lambda: done.put("last")):
        background.do(work)
    background.start()
    assert [done.get(timeout=10), done.get(timeout=10)] == ["first", "last"]
    assert failed.get(timeout=10).what == "this"
    assert "ZeroDivisionError" in failed.get(timeout=10).why
    assert background._thread.daemon
    background.do(lambda: done.put("left over"))
    background.finish(10)
    assert done.get(block=False) == "left over"
