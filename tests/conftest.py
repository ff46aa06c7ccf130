"""What several rooms' tests share."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from tests.tiny import TinyTorch

for name in ("COLUMNS", "LINES"):  # which xdist sets: programs on a terminal of their own would believe them
    os.environ.pop(name, None)
hypothesis.settings.register_profile("sdtui", deadline=None)  # a busy machine is no error of ours
hypothesis.settings.load_profile("sdtui")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--accept", action="store_true", help="write the snapshots of the screens anew")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty ``SDTUI_HOME`` with a path short enough for a Unix socket in it."""
    with tempfile.TemporaryDirectory(prefix="sdtui-", dir="/tmp") as folder:
        monkeypatch.setenv("SDTUI_HOME", folder)
        yield Path(folder)


@pytest.fixture(scope="session")
def tiny_torch(tmp_path_factory: pytest.TempPathFactory) -> TinyTorch:
    """The torch networks and the vocabulary that the tiny bundles are made from."""
    import torch

    from tests.tiny import make_tiny_torch

    torch.set_num_threads(1)  # networks this small only lose time to a second thread
    return make_tiny_torch(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def tiny_bundle(tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 64 px pictures in float16, as people have them, with a UNet of batch 2."""
    from tests.tiny import convert_tiny

    bundle = tmp_path_factory.mktemp("models") / "tiny"
    convert_tiny(tiny_torch, bundle)
    return bundle


@pytest.fixture(scope="session")
def tiny_bundle_fp32(tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model all in float32: what differs from torch is an error in our code, not rounding."""
    from tests.tiny import convert_tiny

    bundle = tmp_path_factory.mktemp("models") / "tiny-fp32"
    convert_tiny(tiny_torch, bundle, precision="fp32")
    return bundle
