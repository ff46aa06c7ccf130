"""Talking to an engine in a test."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from PIL import Image

from sdtui.diffusion.events import Step
from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import (
    Ask,
    Cancelled,
    EngineMessage,
    Failed,
    Finished,
    Progress,
    Snapshot,
    Submit,
    Watch,
)
from sdtui.request import GenerationRequest

T = TypeVar("T")

LONG = 900
"""Steps of a job that is still running when a test does something to it."""

PATIENCE = 60.0


def connected() -> EngineClient:
    """A client that watches."""
    client = EngineClient.connect(timeout=30)
    client.send(Watch())
    return client


def submit(client: EngineClient, model: Path, prompt: str = "a red apple", **fields: Any) -> str:
    """Submit a job, and return its name."""
    job = uuid4().hex
    fields = {"seed": 7, "steps": 3, "precision": "fp32", **fields}
    client.send(Submit(job, GenerationRequest(prompt=prompt, model=str(model), **fields)))
    return job


def heard(client: EngineClient, wanted: Callable[[EngineMessage], bool]) -> EngineMessage:
    """The next message that is ``wanted``."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        message = client.receive(timeout=1.0)
        if message is not None and wanted(message):
            return message
    raise TimeoutError


def is_end(message: EngineMessage, job: str) -> bool:
    return isinstance(message, Finished | Failed | Cancelled) and message.job == job


def is_step(message: EngineMessage, job: str) -> bool:
    return isinstance(message, Progress) and message.job == job and isinstance(message.event, Step)


def outcome(client: EngineClient, job: str) -> Finished | Failed | Cancelled:
    """How ``job`` ends."""
    message = heard(client, lambda message: is_end(message, job))
    assert isinstance(message, Finished | Failed | Cancelled)
    return message


def stepping(client: EngineClient, job: str) -> None:
    """Return when ``job`` is between its steps."""
    message = heard(client, lambda message: is_step(message, job) or is_end(message, job))
    assert isinstance(message, Progress), message


def snapshot(client: EngineClient) -> Snapshot:
    """The engine now."""
    client.send(Ask())
    message = heard(client, lambda message: isinstance(message, Snapshot))
    assert isinstance(message, Snapshot)
    return message


def pixels(path: str | Path) -> bytes:
    """The pixels of a picture file."""
    with Image.open(path) as image:
        return image.convert("RGB").tobytes()
