"""A network cut in two answers what the whole one answers, and neither half holds much more than half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sdtui.convert.accuracy import measure
from sdtui.convert.assembly import WEIGHTS
from sdtui.convert.encoding.encodings import Palette
from sdtui.convert.halves import halve
from sdtui.convert.network import Storage, convert_network, write_network
from sdtui.convert.program import trace
from sdtui.runtime import NetworkError
from sdtui.runtime.chained import ChainedNetwork
from sdtui.runtime.portable.network import PortableNetwork
from tests.convert.test_network import unet_source
from tests.tiny import TinyTorch


@pytest.fixture(scope="module")
def halves(tiny_torch: TinyTorch, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Palettized, since halves of Apple's converter were left out of that; the whole lies beside them."""
    source, storage, folder = (
        unet_source(tiny_torch),
        Storage("fp16", Palette(6)),
        tmp_path_factory.mktemp("h"),
    )
    packages = folder / "UnetChunk1.mlpackage", folder / "UnetChunk2.mlpackage"
    for program, package in zip(halve(trace(source, "macOS13", "fp16")), packages, strict=True):
        write_network({"main": program}, package, source, target="macOS13", storage=storage)
    convert_network(source, folder / "Unet.mlpackage", compression=Palette(6))
    return packages


def test_the_halves_are_the_whole(halves: tuple[Path, Path], tiny_torch: TinyTorch) -> None:
    whole = PortableNetwork(halves[0].parent / "Unet.mlpackage", "cpu-only", "fp32")
    chained = chain(halves)
    assert (chained.inputs, chained.outputs) == (whole.inputs, whole.outputs)
    for probe in unet_source(tiny_torch).probes:
        np.testing.assert_allclose(
            chained.predict(probe)["noise_pred"], whole.predict(probe)["noise_pred"], atol=1e-5
        )


def test_each_half_has_about_half_of_the_weights(halves: tuple[Path, Path]) -> None:
    whole = (halves[0].parent / "Unet.mlpackage" / WEIGHTS).stat().st_size
    for half in halves:
        assert 0.3 * whole <= (half / WEIGHTS).stat().st_size <= 0.7 * whole


def test_they_are_measured_together(halves: tuple[Path, Path], tiny_torch: TinyTorch) -> None:
    source = unet_source(tiny_torch)
    together = measure(source, halves[0], second_half=halves[1])
    assert together == pytest.approx(measure(source, halves[0].parent / "Unet.mlpackage"), abs=0.5)


def test_what_is_handed_over_is_float32_outside(halves: tuple[Path, Path]) -> None:
    first = PortableNetwork(halves[0], "cpu-only", "fp32")
    assert {spec.dtype for spec in first.outputs.values()} == {np.dtype(np.float32)}


def test_halves_of_different_networks_do_not_fit(halves: tuple[Path, Path], tiny_bundle: Path) -> None:
    first = PortableNetwork(halves[0], "cpu-only", "fp32")
    with pytest.raises(NetworkError, match="halves"):
        ChainedNetwork(first, PortableNetwork(tiny_bundle / "Unet.mlpackage", "cpu-only", "fp32"))


def chain(halves: tuple[Path, Path]) -> ChainedNetwork:
    first, second = (PortableNetwork(half, "cpu-only", "fp32") for half in halves)
    return ChainedNetwork(first, second)
