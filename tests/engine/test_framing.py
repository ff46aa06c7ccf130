"""Frames: any message, cut anywhere, arrives as it was sent; anything else is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.conversion import (
    ConversionReport,
    ConversionRequest,
    Forecast,
    Fused,
    NetworkForecast,
    NetworkReport,
    Stage,
)
from sdtui.diffusion.events import Decoding, Encoding, Loading, LoadingStage, Preview, Seconds, Step
from sdtui.engine.framing import LIMIT, FramingError, Unframer, frame
from sdtui.engine.protocol import (
    Advanced,
    Ask,
    Cancel,
    Cancelled,
    ClientMessage,
    Conversion,
    Convert,
    EngineMessage,
    Failed,
    Failure,
    Finished,
    Gauge,
    Hello,
    Job,
    Memory,
    Progress,
    Queued,
    Result,
    Snapshot,
    Stop,
    Submit,
    Watch,
    WorkerMessage,
)
from tests.strategies import requests, text

Message = TypeVar("Message")

amount = st.integers(0, 2**40)
duration = st.floats(0, 1e6)
events = st.one_of(
    st.builds(
        Loading,
        network=text,
        index=st.integers(1, 9),
        total=st.integers(1, 9),
        stage=st.sampled_from(get_args(LoadingStage)),
        elapsed=duration,
        expected=st.none() | duration,
        note=text,
    ),
    st.builds(Encoding),
    st.builds(
        Step,
        index=st.integers(1, 1000),
        total=st.integers(1, 1000),
        elapsed=duration,
        preview=st.none() | st.builds(Preview, width=amount, height=amount, rgb=st.binary(max_size=300)),
    ),
    st.builds(Decoding),
)
memory = st.builds(Memory, engine=amount, engine_peak=amount, machine=amount, machine_total=amount)
failure = st.builds(Failure, what=text, why=text, remedy=text)
result = st.builds(
    Result,
    path=text,
    picture=amount,
    width=amount,
    height=amount,
    model=text,
    runtime=text,
    seconds=st.builds(
        Seconds, load=duration, text=duration, denoise=duration, decode=duration, total=duration
    ),
    peak_memory_bytes=amount,
)
jobs = st.builds(
    Job,
    job=text,
    request=requests,
    state=st.sampled_from(["queued", "running", "finished", "failed", "cancelled"]),
    progress=st.none() | events,
    result=st.none() | result,
    failure=st.none() | failure,
)
conversion_requests = st.builds(
    ConversionRequest,
    source=text.filter(lambda source: bool(source.strip())),
    output=text.map(lambda name: f"/models/{name}"),
    sizes=st.just(((512, 768), (64, 64))),
    nbits=st.sampled_from([None, 1, 8]),
    networks=st.none() | st.just(("unet", "vae-decoder")),
    loras=st.lists(st.builds(Fused, path=text, weight=duration), max_size=2).map(tuple),
)
network_reports = st.builds(
    NetworkReport,
    network=text,
    file=text,
    parameters=amount,
    bytes=amount,
    psnr=st.none() | duration,
    threshold=duration,
    nbits=st.none() | duration,
    seconds=duration,
    peak_memory=amount,
)
conversions = st.builds(
    Conversion,
    job=text,
    request=conversion_requests,
    state=st.sampled_from(["queued", "running", "finished", "failed", "cancelled"]),
    forecast=st.none()
    | st.builds(
        Forecast,
        networks=st.lists(
            st.builds(
                NetworkForecast, network=text, parameters=amount, memory=amount, disk=amount, seconds=duration
            ),
            max_size=2,
        ),
        memory=amount,
        disk=amount,
        seconds=duration,
        warnings=st.lists(text, max_size=2),
    ),
    stage=st.none()
    | st.builds(
        Stage,
        network=text,
        stage=text,
        fraction=duration,
        elapsed=duration,
        remaining=st.none() | duration,
    ),
    networks=st.lists(network_reports, max_size=2),
    report=st.none()
    | st.builds(
        ConversionReport,
        path=text,
        source=text,
        family=text,
        seconds=duration,
        networks=st.lists(network_reports, max_size=2),
        warnings=st.lists(text, max_size=2),
    ),
    failure=st.none() | failure,
)
client_messages = st.one_of(
    st.builds(Submit, job=text, request=requests),
    st.builds(Convert, job=text, request=conversion_requests),
    st.builds(Cancel, job=text),
    st.builds(Watch),
    st.builds(Ask),
    st.builds(Stop),
)
engine_messages = st.one_of(
    st.builds(Hello, version=amount, release=text, pid=amount, busy=st.booleans()),
    st.builds(
        Snapshot,
        version=amount,
        pid=amount,
        worker_pid=st.none() | amount,
        warmth=st.sampled_from(["cold", "loading", "warm", "busy"]),
        model=st.none() | text,
        runtime=st.none() | text,
        jobs=st.lists(jobs, max_size=3),
        memory=memory,
        conversions=st.lists(conversions, max_size=2),
    ),
    st.builds(Queued, job=text, request=requests, ahead=amount),
    st.builds(Progress, job=text, event=events, memory=memory),
    st.builds(Finished, job=text, request=requests, result=result),
    st.builds(Failed, job=text, failure=failure),
    st.builds(Cancelled, job=text),
    conversions,
    st.builds(Gauge, memory=memory, warmth=st.sampled_from(["cold", "loading", "warm", "busy"])),
)


@given(st.lists(client_messages, max_size=5), st.integers(1, 50))
def test_client_messages_survive_any_cut(messages: list[ClientMessage], piece: int) -> None:
    assert through(Unframer(ClientMessage), messages, piece) == messages


@given(st.lists(engine_messages, max_size=5), st.integers(1, 500))
def test_engine_messages_survive_any_cut(messages: list[EngineMessage | Hello], piece: int) -> None:
    assert through(Unframer(EngineMessage | Hello), messages, piece) == messages


@given(events)
def test_the_workers_events_survive(event: Step) -> None:
    message = Advanced("job", event)
    assert through(Unframer(WorkerMessage), [message], 7) == [message]


@given(st.binary(max_size=100))
def test_other_bytes_are_refused_or_awaited_but_never_understood(data: bytes) -> None:
    length = len(data).to_bytes(4, "big")
    try:
        messages: list[ClientMessage] = Unframer[ClientMessage](ClientMessage).feed(length + data)
    except FramingError:
        return
    assert [frame(message) for message in messages] != []


def test_a_frame_that_claims_too_much_is_refused_before_it_comes() -> None:
    unframer: Unframer[ClientMessage] = Unframer(ClientMessage)
    with pytest.raises(FramingError, match="limit"):
        unframer.feed((LIMIT + 1).to_bytes(4, "big"))


def test_a_message_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(FramingError, match="limit"):
        frame(Cancel("x" * LIMIT))


def test_an_invalid_request_is_refused() -> None:
    body = frame(Cancel("x")).replace(b"cancel", b"submit")
    with pytest.raises(FramingError):
        Unframer[ClientMessage](ClientMessage).feed(body)


def through(unframer: Unframer[Message], messages: Sequence[msgspec.Struct], piece: int) -> list[Message]:
    """What comes out when ``messages`` arrive in pieces of so many bytes."""
    data = b"".join(frame(message) for message in messages)
    arrived: list[Message] = []
    for start in range(0, len(data), piece):
        arrived += unframer.feed(data[start : start + piece])
    return arrived
