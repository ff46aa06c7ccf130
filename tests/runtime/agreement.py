"""``python -m tests.runtime.agreement``: how far converted networks agree with what they were made from.

Two tables. One is network x attention x target: the lowest PSNR of FLOAT32 and of fp16 packages against
torch, that of OpenVINO and of two halves against the whole, and whether the compiled network gives the
same bytes. The
other is network x target x encoding: whether compressed weights are bit for bit those that coremltools
decompresses. Ends with 1 when anything disagrees more than it may.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import coremltools as ct
import torch
from rich.console import Console
from rich.table import Table

from sdtui.conversion import Attention, ComputePrecision, Target
from sdtui.convert.accuracy import measure, psnr
from sdtui.convert.attention import rearrange
from sdtui.convert.halves import halve
from sdtui.convert.network import Storage, convert_network, write_network
from sdtui.convert.program import trace
from sdtui.convert.source import Source
from sdtui.runtime import Array, Network, load_network
from sdtui.runtime.chained import ChainedNetwork
from sdtui.runtime.portable.network import PortableNetwork
from tests.convert.cases import ATTENTION, DENOISERS, OTHERS, TARGETS, VARIANTS, small_blocks, stand_ins
from tests.runtime.decompression import same_weights
from tests.runtime.mil_text_writer import SPELLINGS, compile_package
from tests.runtime.small import ENCODINGS

LOWEST: dict[ComputePrecision, float] = {"fp32": 110, "fp16": 58}
"""dB against torch, of the numbers as they are, by the precision that a package declares."""
HALVED = ("unet", "unet of sdxl", "refiner", "control_unet", "mmdit")
ENCODED = ("text_encoder", "unet", "unet of sdxl", "mmdit", "vae_decoder")


@dataclass(frozen=True)
class Case:
    """A network to convert. ``attention`` is empty where there is none to choose."""

    network: str
    attention: Attention | str
    target: Target

    def source(self, folder: Path) -> Source:
        if self.network in DENOISERS:
            build, wrap = DENOISERS[self.network]
            return wrap(rearrange(build(), self.attention) if self.attention else build())  # type: ignore[arg-type]
        return VARIANTS[self.network]() if self.network in VARIANTS else OTHERS[self.network](folder)


@dataclass(frozen=True)
class Agreement:
    """What became of a case, in dB. ``openvino`` is None where torch had to run it, ``halves`` where it is
    not cut.
    """

    case: Case
    fp32: float
    fp16: float
    openvino: float | None
    halves: float | None
    compiled: bool

    @property
    def good(self) -> bool:
        others = [each for each in (self.openvino, self.halves) if each is not None]
        known = self.openvino is not None or self.case.network not in DENOISERS
        exact = min(self.fp32, *others) >= LOWEST["fp32"] if others else self.fp32 >= LOWEST["fp32"]
        return exact and known and self.fp16 >= LOWEST["fp16"] and self.compiled


@dataclass(frozen=True)
class Decompressed:
    """``weights`` is how many of a network's were compressed; ``good``: all are coremltools' own."""

    network: str
    target: str
    encoding: str
    weights: int
    good: bool


def cases(networks: Sequence[str], targets: Sequence[Target]) -> Iterator[Case]:
    for network in networks:
        for attention in ATTENTION if network in DENOISERS else ("",):
            yield from (Case(network, attention, target) for target in targets)


def agree(case: Case, folder: Path) -> Agreement:
    """Convert ``case`` in both precisions, and compare."""
    decibels, compiled, halves = {}, True, None
    with stand_ins(), small_blocks():
        source = case.source(folder)
        for precision in LOWEST:
            package = folder / f"{precision}.mlpackage"
            convert_network(source, package, target=case.target, precision=precision)
            decibels[precision] = measure(source, package)
            compiled &= _same_compiled(package, case.target, source)
        if case.network in HALVED:
            halves = _halves(case, source, folder)
        by_openvino = _by_openvino(folder / "fp32.mlpackage", source)
    return Agreement(case, decibels["fp32"], decibels["fp16"], by_openvino, halves, compiled)


def decompress(network: str, folder: Path) -> Iterator[Decompressed]:
    """Have coremltools compress ``network`` in each way that it knows."""
    for target, encodings in ENCODINGS.items():
        case = Case(network, "", target)  # type: ignore[arg-type]
        source = case.source(folder)
        package = folder / f"{target}.mlpackage"
        convert_network(source, package, target=case.target)
        plain = ct.models.MLModel(str(package), skip_model_load=True)
        for name, encode in encodings.items():
            path = folder / f"{target}-{name}.mlpackage"
            compressed = encode(plain)
            compressed.save(str(path))
            try:
                count = same_weights(path, compressed)
                good = count > 0 and _same_compiled(path, target, source)
            except AssertionError:
                count, good = 0, False
            yield Decompressed(network, target, name, count, good)


def _by_openvino(package: Path, source: Source) -> float | None:
    """The PSNR in dB of OpenVINO against torch, on one package."""
    network = PortableNetwork(package, "cpu-only", "fp32", executor="openvino")
    if "openvino" not in network.runtime:
        return None
    whole = _answers(PortableNetwork(package, "cpu-only", "fp32", executor="torch"), source)
    return min(psnr(one, other) for one, other in zip(whole, _answers(network, source), strict=True))


def _halves(case: Case, source: Source, folder: Path) -> float:
    """The PSNR in dB of two halves, one after the other, against the whole package."""
    packages = folder / "Chunk1.mlpackage", folder / "Chunk2.mlpackage"
    for program, package in zip(halve(trace(source, case.target, "fp32")), packages, strict=True):
        write_network({"main": program}, package, source, target=case.target, storage=Storage("fp32"))
    whole = _answers(load_network(folder / "fp32.mlpackage", "cpu-only", "fp32"), source)
    chained = _answers(ChainedNetwork(*(load_network(each, "cpu-only", "fp32") for each in packages)), source)
    return min(psnr(one, other) for one, other in zip(whole, chained, strict=True))


def _same_compiled(package: Path, target: str, source: Source) -> bool:
    """Whether the compiled network gives the bytes of its package."""
    compiled = compile_package(package, package.with_suffix(".mlmodelc"), SPELLINGS[target])
    ours, theirs = (_answers(load_network(path, "cpu-only", "fp32"), source) for path in (compiled, package))
    return [each.tobytes() for each in ours] == [each.tobytes() for each in theirs]


def _answers(network: Network, source: Source) -> list[Array]:
    return [network.predict(probe)[name] for probe in source.probes for name in source.outputs]


def agreement_table(found: Sequence[Agreement]) -> Table:
    table = Table(title="against torch, dB, as packages declare their precision, run in fp32")
    for name in ("network", "attention", "target"):
        table.add_column(name, no_wrap=True)
    for name in ("FLOAT32", "fp16", "OpenVINO", "halves", "compiled", ""):
        table.add_column(name, justify="right")
    for each in found:
        others = ("" if value is None else f"{value:.1f}" for value in (each.openvino, each.halves))
        figures = f"{each.fp32:.1f}", f"{each.fp16:.1f}", *others, "same" if each.compiled else "other"
        table.add_row(each.case.network, each.case.attention, each.case.target, *figures, _mark(each.good))
    return table


def decompressed_table(found: Sequence[Decompressed]) -> Table:
    """A row for each encoding; of each network, how many weights were compared."""
    networks = list(dict.fromkeys(each.network for each in found))
    table = Table(title="compressed weights that are coremltools' own, bit for bit")
    for name in ("target", "encoding"):
        table.add_column(name, no_wrap=True)
    for name in networks:
        table.add_column(name, justify="right")
    counts = {(each.target, each.encoding, each.network): each for each in found}
    for target, encoding in dict.fromkeys((each.target, each.encoding) for each in found):
        rows = [counts[target, encoding, network] for network in networks]
        table.add_row(target, encoding, *(f"{row.weights} {_mark(row.good)}".strip() for row in rows))
    return table


def _mark(good: bool) -> str:
    return "" if good else "[red]wrong[/]"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.runtime.agreement", description=__doc__)
    known = (*DENOISERS, *VARIANTS, *OTHERS)
    parser.add_argument("--network", action="append", choices=known, help="only this one (repeatable)")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one (repeatable)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    wanted, targets, console = options.network or known, options.target or TARGETS, Console(width=110)
    agreements = []
    for case in cases(wanted, targets):
        with tempfile.TemporaryDirectory() as place:
            agreements.append(agree(case, Path(place)))
    console.print(agreement_table(agreements))
    decompressed: list[Decompressed] = []
    for network in (each for each in ENCODED if each in wanted):
        with tempfile.TemporaryDirectory() as place:
            decompressed += decompress(network, Path(place))
    console.print(decompressed_table(decompressed))
    good = all(each.good for each in agreements) and all(each.good for each in decompressed)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
