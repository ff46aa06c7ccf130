"""A whole checkpoint, to be damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.convert import checkpoints
from tests.tiny import write_tokenizer


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    vocabulary = len(write_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return checkpoints.save_folder(
        tmp_path_factory.mktemp("model"), "sd", checkpoints.networks("sd", vocabulary)
    )


@pytest.fixture
def pipeline(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "model")
