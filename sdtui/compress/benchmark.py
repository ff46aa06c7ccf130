"""``python -m sdtui.compress.benchmark``: our palettization against coremltools', at real size.

A package with all matrices and kernels of Stable Diffusion 1.5's UNet, in random float16, is palettized
by both, each in a process of its own, and every weight compared. Nothing is downloaded; the folder needs
3.5 GB.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from sdtui.compress.rewrite import rewrite
from sdtui.convert.disassembly import disassemble
from sdtui.convert.encoding.encodings import WEIGHT_THRESHOLD, Palette, PaletteBits
from sdtui.convert.network import Storage, compressible
from sdtui.convert.program import coremltools

Shape = tuple[int, ...]


def unet_shapes() -> list[Shape]:
    """The weights of Stable Diffusion 1.5's UNet that are palettized: 859 million numbers."""
    import torch
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(cross_attention_dim=768)
    shapes = [tuple(parameter.shape) for parameter in unet.parameters() if parameter.dim() > 1]
    return [shape for shape in shapes if prod(shape) > WEIGHT_THRESHOLD]


def make(package: Path, shapes: Sequence[Shape]) -> None:
    """A program that multiplies by each weight and adds everything up."""
    ct = coremltools()
    from coremltools.converters.mil import Builder as mb  # noqa: N813 - its usual name
    from coremltools.converters.mil.mil import types

    random = np.random.default_rng(0)

    def weight(shape: Shape) -> Any:
        return (random.standard_normal(shape, np.float32) / np.sqrt(prod(shape[1:]))).astype(np.float16)

    @mb.program(input_specs=[mb.TensorSpec((1, 1, 1, 1), types.fp16)], opset_version=ct.target.iOS16)  # type: ignore[untyped-decorator]
    def program(x: Any) -> Any:
        total = mb.reduce_sum(x=x, axes=[1, 2, 3])
        flat = mb.reshape(x=x, shape=[1, 1])
        for shape in shapes:
            if len(shape) == 2:
                product = mb.linear(x=mb.tile(x=flat, reps=[1, shape[1]]), weight=weight(shape))
            else:
                product = mb.conv(x=mb.tile(x=x, reps=[1, *shape[1:]]), weight=weight(shape))
            axes = list(range(1, len(shape)))
            total = mb.add(x=total, y=mb.reduce_sum(x=product, axes=axes))
        return total

    model = ct.convert(
        program,
        pass_pipeline=ct.PassPipeline.EMPTY,
        minimum_deployment_target=ct.target.iOS16,
        skip_model_load=True,
    )
    model.save(str(package))


def theirs(source: Path, package: Path, nbits: int) -> None:
    """As coremltools does it, embeddings apart, which there are none of."""
    ct = coremltools()
    from coremltools.optimize import coreml as compression

    model = ct.models.MLModel(str(source), skip_model_load=True)
    config = compression.OpPalettizerConfig(mode="kmeans", nbits=nbits)
    compression.palettize_weights(model, compression.OptimizationConfig(global_config=config)).save(
        str(package)
    )


def ours(source: Path, package: Path, nbits: PaletteBits) -> None:
    """As we do it, from the same package to one of the same kind."""
    rewrite(disassemble(source), package, Storage(compression=Palette(nbits)))


def measured(work: Callable[..., None], *arguments: object) -> tuple[float, float]:
    """Seconds and peak memory in GB of ``work`` in a process of its own."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(sender, work, *arguments))
    process.start()
    sender.close()
    seconds, gigabytes = receiver.recv()
    process.join()
    return seconds, gigabytes


def _measure(sender: Any, work: Callable[..., None], *arguments: object) -> None:
    began = time.perf_counter()
    work(*arguments)
    seconds = time.perf_counter() - began
    unit = 1e9 if sys.platform == "darwin" else 1e6
    sender.send((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit))


def compare(original: Path, packages: Sequence[Path]) -> dict[str, Any]:
    """The PSNR in dB over all weights of each package, and how many weights are equal bit for bit."""
    plain, *others = (disassemble(package) for package in (original, *packages))
    noise, power = np.zeros(len(others)), 0.0
    peak, equal, count = 0.0, 0, 0
    names = [each.parameter for each in plain.functions["main"].constants if compressible(each)]
    for name in names:
        assert name is not None
        weight = plain.read(name).astype(np.float32)
        stored = [other.read(_name(other, name)) for other in others]
        noise += [float(np.square(each - weight).sum(dtype=np.float64)) for each in stored]
        power += weight.size
        peak = max(peak, float(np.abs(weight).max()))
        equal += all(np.array_equal(each, stored[0]) for each in stored)
        count += 1
    return {"psnr": (20 * np.log10(peak / np.sqrt(noise / power))).tolist(), "weights": count, "equal": equal}


def _name(package: Any, name: str) -> str:
    """What a weight is called in another package: coremltools adds how it was stored."""
    names = {each.parameter for each in package.functions["main"].constants}
    return name if name in names else f"{name}_palettized"


def main() -> int:
    """Read the command line, measure, print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.compress.benchmark", description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where to work; it must not exist")
    parser.add_argument("--nbits", type=int, default=6)
    parser.add_argument("--part", type=int, default=1, help="only every n-th weight")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    folder.mkdir()
    try:
        source = folder / "plain.mlpackage"
        shapes = unet_shapes()[:: arguments.part]
        measured(make, source, shapes)
        results: dict[str, Any] = {"parameters": sum(map(prod, shapes)), "nbits": arguments.nbits}
        for work in (theirs, ours):
            package = folder / f"{work.__name__}.mlpackage"
            seconds, gigabytes = measured(work, source, package, arguments.nbits)
            results[work.__name__] = {"seconds": round(seconds, 1), "peak_gb": round(gigabytes, 2)}
        results |= compare(source, [folder / "theirs.mlpackage", folder / "ours.mlpackage"])
        for figure in ("seconds", "peak_gb"):
            results[f"{figure}_ratio"] = round(results["ours"][figure] / results["theirs"][figure], 2)
        print(json.dumps(results, indent=2))
    finally:
        shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
