"""A bundle made smaller: measured, chosen, written and measured again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import msgspec

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import MANIFEST_FILE, entry_sha256, packages
from sdtui.bundle.manifest import NetworkEntry
from sdtui.compress.activations import quantize_inputs
from sdtui.compress.calibration import Inputs, record
from sdtui.compress.choosing import choose
from sdtui.compress.noise import decibels, from_decibels, mean, relative_noise
from sdtui.compress.progress import OnPart, OnStage, Progress
from sdtui.compress.request import (
    CompressedNetwork,
    CompressionError,
    CompressionReport,
    CompressionRequest,
)
from sdtui.compress.rewrite import rewrite
from sdtui.compress.treatment import Treatment, calibration_of
from sdtui.convert.assembly import WEIGHTS, WeightFile
from sdtui.convert.disassembly import Disassembled, disassemble
from sdtui.convert.network import compressible
from sdtui.diffusion.errors import Cancelled
from sdtui.files import create_folder_atomically, reason
from sdtui.runtime.portable.network import PortableNetwork


def compress(
    request: CompressionRequest,
    on_stage: OnStage = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> CompressionReport:
    """Write the bundle ``request.output``, which appears whole or not at all, and compare it.

    Raises :class:`CompressionError` and other SdtuiErrors, and :class:`Cancelled` soon after ``cancelled``
    says so.
    """
    progress = Progress(on_stage, request)
    bundle, output = Bundle.open(Path(request.model)), Path(request.output)
    if output.exists():
        raise CompressionError(f"{output} is not overwritten", "it exists", "name another folder")
    try:
        treatments = choose(bundle, request, progress.hear, cancelled)
        with create_folder_atomically(output) as folder:
            folder.mkdir()
            _copy_others(bundle, treatments, folder)
            samples = _samples(bundle, treatments, request, progress.hear, cancelled)
            entries, networks = {}, []
            for index, (name, treatment) in enumerate(treatments.items()):
                if cancelled():
                    raise Cancelled
                on_part = progress.network(name, index, len(treatments))
                entry, weights = _write(bundle, name, treatment, folder, on_part)
                on_part("comparing", 0.0)
                noise = _compare(bundle.path / entry.file, folder / entry.file, samples.get(name, []))
                entries[name] = _described(entry, treatment, weights, noise, folder)
                networks.append(_reported(bundle, name, entries[name], treatment, noise, folder))
            _write_manifest(bundle, entries, folder)
    except OSError as error:
        raise CompressionError(
            f"{output} cannot be written", reason(error), "choose another place, or make room"
        ) from error
    return CompressionReport(str(output), progress.elapsed, networks)


# ---- writing -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Weights:
    """What the compressed weights of a network are in all."""

    elements: int
    nbytes: int

    @property
    def bits(self) -> float:
        return 8 * self.nbytes / self.elements


def _copy_others(bundle: Bundle, treatments: dict[str, Treatment], folder: Path) -> None:
    """Everything in the bundle but its manifest and the networks that are written anew."""
    left = {file for name in treatments for file in packages(bundle.entries[name])} | {MANIFEST_FILE}

    def left_out(parent: str, names: list[str]) -> set[str]:
        here = Path(parent).relative_to(bundle.path)
        return {name for name in names if (here / name).as_posix() in left}

    shutil.copytree(bundle.path, folder, ignore=left_out, dirs_exist_ok=True)


def _write(
    bundle: Bundle, name: str, treatment: Treatment, folder: Path, on_part: OnPart
) -> tuple[NetworkEntry, _Weights]:
    """All packages of one network; those of other sizes share its weight file."""
    entry = bundle.entries[name]
    shared: WeightFile | None = None
    total = _Weights(0, 0)
    for file in packages(entry):
        source = disassemble(bundle.path / file)
        if treatment.steps:
            source = Disassembled(
                source.target,
                {
                    function: quantize_inputs(program, source.target, treatment.steps)
                    for function, program in source.functions.items()
                },
                source.read,
            )
        package = folder / file
        package.parent.mkdir(exist_ok=True)
        size = (bundle.path / file / WEIGHTS).stat().st_size

        def on_bytes(written: int, size: int = size) -> None:
            on_part("writing", min(1.0, 2 * written / size))

        weights = rewrite(source, package, treatment.storage, shared, on_bytes)
        if shared is None or file == entry.second_half:
            total = _added(total, source, treatment)
        shared = shared or weights
    return entry, total


def _added(total: _Weights, source: Disassembled, treatment: Treatment) -> _Weights:
    constants = {
        constant.parameter: constant
        for program in source.functions.values()
        for constant in program.constants
        if compressible(constant)
    }
    elements, nbytes = total.elements, total.nbytes
    for constant in constants.values():
        elements += prod(constant.shape)
        nbytes += treatment.storage.encoding(constant).nbytes(constant.shape)
    return _Weights(elements, nbytes)


def _write_manifest(bundle: Bundle, entries: dict[str, NetworkEntry], folder: Path) -> None:
    manifest = bundle.manifest
    controlnets = {
        name: entries.get(f"controlnet/{name}", entry) for name, entry in manifest.controlnets.items()
    }
    networks = {role: entries.get(role, entry) for role, entry in manifest.networks.items()}
    changed = msgspec.structs.replace(manifest, name=folder.name, networks=networks, controlnets=controlnets)
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.format(msgspec.json.encode(changed)) + b"\n")


# ---- comparing -----------------------------------------------------------------------------


def _samples(
    bundle: Bundle,
    treatments: Mapping[str, Treatment],
    request: CompressionRequest,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> Mapping[str, list[Inputs]]:
    """Inputs of each network, none of which anything was chosen by."""
    on_part("recording inputs", 0.0)
    whole = [
        role
        for role, entry in bundle.manifest.networks.items()
        if role in treatments and entry.second_half is None
    ]
    return {
        str(role): found
        for role, found in record(bundle, whole, calibration_of(request).other(), cancelled).items()
    }


def _compare(before: Path, after: Path, samples: Sequence[Inputs]) -> float | None:
    """The relative noise of one network against another, the mean over ``samples``; None without any."""
    if not samples:
        return None
    original = PortableNetwork(before, precision="fp32")
    references = [original.predict(sample) for sample in samples]
    original.close()
    compressed = PortableNetwork(after, precision="fp32")
    noises = [
        relative_noise(reference, compressed.predict(sample))
        for reference, sample in zip(references, samples, strict=True)
    ]
    compressed.close()
    return mean(noises)


def _described(
    entry: NetworkEntry, treatment: Treatment, weights: _Weights, noise: float | None, folder: Path
) -> NetworkEntry:
    """The manifest's entry: noises add up, so the PSNR against torch follows from both."""
    psnr = None
    if noise is not None and entry.psnr is not None:
        psnr = round(decibels(noise + from_decibels(entry.psnr)), 1)
    changed = msgspec.structs.replace(
        entry, nbits=_nbits(treatment, weights), encoding=treatment.kind, psnr=psnr
    )
    return msgspec.structs.replace(changed, sha256=entry_sha256(folder, changed))


def _nbits(treatment: Treatment, weights: _Weights) -> float | None:
    if not weights.elements:
        return None
    return treatment.default.nbits if treatment.default is not None else round(weights.bits, 2)


def _reported(
    bundle: Bundle,
    name: str,
    entry: NetworkEntry,
    treatment: Treatment,
    noise: float | None,
    folder: Path,
) -> CompressedNetwork:
    return CompressedNetwork(
        network=name,
        encoding=treatment.kind,
        bytes_before=_weight_bytes(bundle.path, entry),
        bytes=_weight_bytes(folder, entry),
        nbits=entry.nbits or 16,
        psnr=None if noise is None else decibels(noise),
        predicted=treatment.predicted,
    )


def _weight_bytes(folder: Path, entry: NetworkEntry) -> int:
    files = (entry.file, *((entry.second_half,) if entry.second_half is not None else ()))
    return sum((folder / file / WEIGHTS).stat().st_size for file in files)
