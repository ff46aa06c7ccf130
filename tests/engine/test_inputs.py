"""Pictures that a job starts from are the engine's from the moment it is submitted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from sdtui.engine.client import EngineClient
from sdtui.engine.protocol import Failed, Queued
from sdtui.settings import places
from tests.engine.talk import heard, outcome, snapshot, submit


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_job_waits_with_pictures_of_its_own(client: EngineClient, tiny_bundle: Path, photo: Path) -> None:
    content = photo.read_bytes()
    job = submit(client, tiny_bundle, image=str(photo))
    queued = heard(client, lambda message: isinstance(message, Queued) and message.job == job)
    photo.unlink()
    assert isinstance(queued, Queued)
    kept = places().inputs / f"{hashlib.sha256(content).hexdigest()}.png"
    assert queued.request.image == str(kept)
    assert kept.read_bytes() == content
    assert next(each for each in snapshot(client).jobs if each.job == job).request.image == str(kept)
    outcome(client, job)


def test_a_picture_that_is_not_there_is_told_at_once(
    client: EngineClient, tiny_bundle: Path, tmp_path: Path
) -> None:
    job = submit(client, tiny_bundle, image=str(tmp_path / "absent.png"))
    failed = heard(client, lambda message: isinstance(message, Failed | Queued))
    assert isinstance(failed, Failed)
    assert failed.job == job
    assert failed.failure.why == "no such file or directory"
    assert job not in [each.job for each in snapshot(client).jobs]
