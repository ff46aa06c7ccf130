"""The trash loses what was deleted long ago, and nothing that anything names."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from sdtui.engine.protocol import Job
from sdtui.history import History, Origin, PictureRecord
from sdtui.history.inputs import keep_pictures
from sdtui.history.trash import GRACE_SECONDS, Emptied, empty_trash
from sdtui.request import Control, GenerationRequest
from sdtui.settings import places

pytestmark = pytest.mark.usefixtures("home")


def made(history: History, prompt: str, request: GenerationRequest | None = None) -> PictureRecord:
    """A picture on disk and in the history."""
    path = places().pictures / f"{prompt}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(prompt.encode())
    request = request or GenerationRequest(prompt=prompt, seed=1)
    origin = Origin(request=request, model="starter", model_hash="0", runtime="portable", version="1")
    return history.add(path=path, origin=origin, size=(64, 64), seconds={}, peak_memory_bytes=1)


def trashed(history: History, record: PictureRecord, days_ago: float = 0.0) -> Path:
    """Where its file is, in the trash since some days."""
    history.trash(record.id, places().trash)
    moment = datetime.fromtimestamp(time.time() - days_ago * 86_400, UTC)
    history._connection.execute(
        "UPDATE picture SET trashed = ? WHERE id = ?", (moment.isoformat(), record.id)
    )
    again = history.get(record.id)
    assert again is not None
    return Path(again.path)


def kept_input(content: str, tmp_path: Path, days_ago: float = 2.0, **fields: object) -> GenerationRequest:
    """A request from a picture that was kept some days ago."""
    (tmp_path / "photo").write_text(content)
    given = GenerationRequest(prompt=content, seed=1, image=str(tmp_path / "photo"))
    request = keep_pictures(given, places().inputs)
    moment = time.time() - days_ago * GRACE_SECONDS
    os.utime(str(request.image), (moment, moment))
    return request.replace(**fields)


def inputs() -> set[str]:
    return {file.read_text() for file in places().inputs.iterdir()}


def test_only_what_was_deleted_long_ago_goes() -> None:
    with History(places().history_file) as history:
        kept, fresh, old = [made(history, prompt) for prompt in ("kept", "fresh", "old")]
        fresh_file, old_file = trashed(history, fresh, 29.9), trashed(history, old, 30.1)
        assert history.in_trash() == (2, len("fresh") + len("old"))
    assert empty_trash(places(), 30) == Emptied(1, 0, len("old"))
    assert fresh_file.exists()
    assert not old_file.exists()
    with History(places().history_file) as history:
        assert history.get(old.id) is None
        history.restore(fresh.id)
        assert {record.id for record in history.recent()} == {kept.id, fresh.id}
        assert history.prompts(9) == ["fresh", "kept"]
    assert empty_trash(places(), 0) == Emptied(0, 0, 0)


def test_a_file_that_lies_elsewhere_is_not_touched() -> None:
    with History(places().history_file) as history:
        record = made(history, "moved")
        trashed(history, record)
        elsewhere = places().data / "moved.png"
        elsewhere.write_text("mine")
        history._connection.execute("UPDATE picture SET path = ? WHERE id = ?", (str(elsewhere), record.id))
    assert empty_trash(places(), 0).pictures == 0
    assert elsewhere.exists()


def test_inputs_that_a_request_names_stay(tmp_path: Path) -> None:
    with History(places().history_file) as history:
        made(history, "shown", kept_input("shown", tmp_path))
        trashed(history, made(history, "in the trash", kept_input("in the trash", tmp_path)), 3)
        waiting = kept_input("waiting", tmp_path)
        drafted = kept_input("drafted", tmp_path)
        control = Control(name="canny", image=str(kept_input("a control", tmp_path).image))
        made(history, "controlled", GenerationRequest(prompt="x", seed=1, controls=(control,)))
        kept_input("just kept", tmp_path, days_ago=0.5)
        kept_input("unnamed", tmp_path)
    places().state.mkdir(parents=True)
    places().queue_file.write_bytes(msgspec.json.encode([Job("a", waiting, "queued")]))
    (places().state / "studio.json").write_bytes(msgspec.json.encode({"draft": {"image": drafted.image}}))
    (places().inputs / "a file of mine.png").write_text("mine")
    os.utime(places().inputs / "a file of mine.png", (0, 0))
    assert empty_trash(places(), 30) == Emptied(0, 1, len("unnamed"))
    named = {"shown", "in the trash", "waiting", "drafted", "a control", "just kept", "mine"}
    assert inputs() == named
    assert empty_trash(places(), 0).inputs == 1
    assert inputs() == named - {"in the trash"}


def test_an_input_that_is_kept_again_is_young_again(tmp_path: Path) -> None:
    with History(places().history_file):
        kept_input("wanted", tmp_path)
        again = keep_pictures(
            GenerationRequest(prompt="x", seed=1, image=str(tmp_path / "photo")), places().inputs
        )
    assert empty_trash(places(), 0).inputs == 0
    os.utime(str(again.image), (0, 0))
    keep_pictures(again, places().inputs)
    assert empty_trash(places(), 0).inputs == 0


def test_without_a_history_nothing_is_removed(tmp_path: Path) -> None:
    kept_input("dear", tmp_path)
    assert empty_trash(places(), 0) == Emptied(0, 0, 0)
    assert not places().history_file.exists()
    assert inputs() == {"dear"}
