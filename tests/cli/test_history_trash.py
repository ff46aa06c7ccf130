"""``sdtui history empty-trash``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sdtui.cli import main
from sdtui.history import History, Origin
from sdtui.request import GenerationRequest
from sdtui.settings import places


@pytest.fixture
def trashed(home: Path) -> Path:
    """The file of a picture in the trash."""
    file = home / "data" / "pictures" / "apple.png"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"apple")
    request = GenerationRequest(prompt="apple", seed=1)
    origin = Origin(request=request, model="starter", model_hash="0", runtime="portable", version="1")
    with History(places().history_file) as history:
        record = history.add(path=file, origin=origin, size=(64, 64), seconds={}, peak_memory_bytes=1)
        history.trash(record.id, places().trash)
    return next(places().trash.iterdir())


def test_where_nobody_can_be_asked_it_has_to_be_said(
    trashed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "empty-trash"]) == 2
    assert "add --yes" in capsys.readouterr().err
    assert trashed.exists()
    assert main(["history", "empty-trash", "--yes", "--days", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pictures": 0, "inputs": 0, "bytes": 0}
    assert main(["history", "empty-trash", "--yes", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"pictures": 1, "inputs": 0, "bytes": 5}
    assert not trashed.exists()
