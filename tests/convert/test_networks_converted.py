"""Every kind of network, for every target and with every attention, answers what torch answers.

The networks are converted in float16 and run in float32, so what is measured is the rounding of the
weights and errors of ours. Weights of more than a few dozen numbers are stood in for, as real ones are.
The ordinary suite looks at every kind, attention and target, but not at all of them together: ``slow``
does, and so does ``python -m tests.runtime.agreement``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from _pytest.mark import ParameterSet

from sdtui.conversion import Attention, Target
from sdtui.convert.accuracy import measure
from sdtui.convert.attention import rearrange
from sdtui.convert.network import convert_network
from sdtui.convert.source import Source
from sdtui.runtime import load_network
from tests.convert.cases import ATTENTION, DENOISERS, OTHERS, TARGETS, VARIANTS, small_blocks, stand_ins


@pytest.fixture(autouse=True)
def _stand_ins() -> Iterator[None]:
    with stand_ins():
        yield


def accuracy(source: Source, package: Path, target: Target) -> float:
    """Convert; the inputs and outputs are those of the source, all float32. The PSNR in dB."""
    convert_network(source, package, target=target)
    network = load_network(package, "cpu-only", "fp32")
    assert {name: spec.shape for name, spec in network.inputs.items()} == {
        name: array.shape for name, array in source.probes[0].items()
    }
    assert {str(spec.dtype) for spec in (*network.inputs.values(), *network.outputs.values())} == {"float32"}
    network.close()
    return measure(source, package)


def together(first: Iterable[str], second: Iterable[str]) -> list[ParameterSet]:
    """All pairs. Each of the first meets one of the second, in turn; the other pairs are slow."""
    return [
        pytest.param(one, other, marks=() if row % len(TARGETS) == column else pytest.mark.slow)
        for row, one in enumerate(first)
        for column, other in enumerate(second)
    ]


@pytest.mark.parametrize(("implementation", "target"), together(ATTENTION, TARGETS))
@pytest.mark.parametrize("kind", DENOISERS)
def test_denoisers(kind: str, implementation: Attention, target: Target, tmp_path: Path) -> None:
    build, wrap = DENOISERS[kind]
    package = tmp_path / "network.mlpackage"
    with small_blocks():
        source = wrap(rearrange(build(), implementation))
        assert source.role == kind.partition(" ")[0]
        assert accuracy(source, package, target) >= 70
    assert measure(wrap(build()), package) >= 70


@pytest.mark.parametrize("kind", VARIANTS)
def test_variants(kind: str, tmp_path: Path) -> None:
    assert accuracy(VARIANTS[kind](), tmp_path / "network.mlpackage", "macOS13") >= 70


@pytest.mark.parametrize(("kind", "target"), together(OTHERS, TARGETS))
def test_others(kind: str, target: Target, tmp_path: Path) -> None:
    source = OTHERS[kind](tmp_path)
    assert source.role == kind.partition(" ")[0]
    assert accuracy(source, tmp_path / "network.mlpackage", target) >= 60
