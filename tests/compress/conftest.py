"""What the tests of compression share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sdtui.bundle import Bundle
from sdtui.compress.analysis import Analysis, Bench
from sdtui.compress.calibration import Calibration, Inputs, record
from sdtui.compress.layers import LayeredNetwork
from sdtui.conversion import Target
from tests.tiny import TinyTorch, convert_tiny

CALIBRATION = Calibration(prompts=("red apple", "a photo of the lighthouse"), samples=3, steps=4)
ENCODINGS = ["palette-1", "palette-2", "palette-4"]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small only lose time to a second thread."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_for(
    tiny_torch: TinyTorch, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Target], Path]:
    """The tiny bundle for a target, in float16."""
    made: dict[Target, Path] = {"macOS13": tiny_bundle}

    def get(target: Target) -> Path:
        if target not in made:
            made[target] = tmp_path_factory.mktemp("models") / target
            convert_tiny(tiny_torch, made[target], target=target)
        return made[target]

    return get


@pytest.fixture(scope="session")
def inputs(tiny_bundle: Path) -> list[Inputs]:
    """Real inputs of the tiny bundle's UNet."""
    return record(Bundle.open(tiny_bundle), ["unet"], CALIBRATION)["unet"]


@pytest.fixture
def bench(tiny_bundle: Path, inputs: list[Inputs]) -> Bench:
    return Bench(LayeredNetwork(tiny_bundle / "Unet.mlpackage"), inputs)


@pytest.fixture
def fresh() -> Analysis:
    return Analysis(network="tiny", calibration=CALIBRATION, encodings=ENCODINGS)
