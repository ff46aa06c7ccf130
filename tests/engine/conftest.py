"""A real engine, with a tiny model, in a home of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.engine.client import EngineClient
from tests.engine.talk import connected


@pytest.fixture(scope="module")
def engine_home() -> Iterator[Path]:
    """``SDTUI_HOME`` for a module's tests, which share the engine that the first of them starts."""
    with (
        pytest.MonkeyPatch.context() as patch,
        tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp") as home,
    ):
        patch.setenv("SDTUI_HOME", home)
        patch.setenv("OMP_NUM_THREADS", "1")  # tiny networks lose time to a second thread
        try:
            yield Path(home)
        finally:
            EngineClient.stop(timeout=30)


@pytest.fixture
def client(engine_home: Path) -> Iterator[EngineClient]:
    """A client that watches the engine."""
    assert os.environ["SDTUI_HOME"] == str(engine_home)
    client = connected()
    yield client
    client.close()
