"""The command line as scripts meet it: one process for each command."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdtui.engine.client import EngineClient
from sdtui.spawn import environment, python


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[Any]:
        """The JSON objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refused(self, code: int, *words: str) -> None:
        """Assert that it ended with ``code`` and one line on stderr that has ``words`` in it."""
        assert self.code == code, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1, self.err
        assert self.err.count(", ") >= 2, "what, why, what to do"
        assert len(self.err) < 300, "a line, not a manual"
        assert [word for word in words if word not in self.err] == [], self.err


def sdtui(*arguments: str | Path) -> Ran:
    """Run a command to its end."""
    ran = subprocess.run(
        python("sdtui", *map(str, arguments)),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Ran(ran.returncode, ran.stdout, ran.stderr)


@pytest.fixture(scope="module")
def cli_home() -> Iterator[Path]:
    """``SDTUI_HOME`` for a module's tests, which share the engine that the first of them starts."""
    folder = tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp")  # a path short enough for a socket
    with pytest.MonkeyPatch.context() as patch, folder as home:
        patch.setenv("SDTUI_HOME", home)
        patch.setenv("OMP_NUM_THREADS", "1")  # tiny networks lose time to a second thread
        try:
            yield Path(home)
        finally:
            EngineClient.stop(timeout=30)
