"""The UNet alone against OpenVINO: ``python -m sdtui.bench.openvino BUNDLE --checkpoint DIR``.

OpenVINO is the quickest of what people use on a processor. sdtui runs a bundle's networks by it where it
is installed, and by torch elsewhere; both are measured. Each program runs the same inputs through the
same weights in each precision, in a process of its own, in turns.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table

from sdtui.bench.trial import peak_memory
from sdtui.bundle import Bundle
from sdtui.convert.accuracy import psnr
from sdtui.request import Precision
from sdtui.runtime import Array
from sdtui.runtime.portable.compiled import open_network
from sdtui.runtime.portable.network import Executor, PortableNetwork

EXECUTORS: dict[str, Executor] = {"sdtui": "auto", "sdtui with torch": "torch"}
PROGRAMS = (*EXECUTORS, "openvino")
PRECISIONS = ("fp32", "bf16")
_OPENVINO_TYPES = {"fp32": "f32", "bf16": "bf16"}
Predict = Callable[[dict[str, Array]], Array]


def main() -> None:
    """Parse the command line, measure, print a table."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.bench.openvino", description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--checkpoint", type=Path, required=True, help="its diffusers folder")
    parser.add_argument(
        "--steps", type=int, default=3, help="timed runs in each process, after one that is not"
    )
    parser.add_argument("--rounds", type=int, default=2, help="processes of each kind")
    parser.add_argument("--one", nargs=3, metavar=("PROGRAM", "PRECISION", "RESULT"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        program, precision, result = given.one
        print(
            json.dumps(
                _measure(given.bundle, given.checkpoint, program, precision, Path(result), given.steps)
            )
        )
        return
    with tempfile.TemporaryDirectory(prefix="sdtui-bench-") as folder:
        _report(_rounds(given.rounds, Path(folder)), Path(folder))


def _rounds(count: int, folder: Path) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(count):
        for precision in PRECISIONS:
            for program in PROGRAMS:
                result = folder / f"{program}-{precision}.npy"
                command = [sys.executable, "-m", "sdtui.bench.openvino", *sys.argv[1:]]
                answer = subprocess.run(
                    [*command, "--one", program, precision, str(result)], stdout=subprocess.PIPE, check=True
                )
                found.setdefault((program, precision), []).append(json.loads(answer.stdout.splitlines()[-1]))
    return found


def _report(found: dict[tuple[str, str], list[dict[str, Any]]], folder: Path) -> None:
    table = Table(
        "program", "precision", "load", "step", "of OpenVINO's", "memory", "agreement with torch fp32"
    )
    reference = np.load(folder / "sdtui with torch-fp32.npy")
    steps = {each: median(s for trial in trials for s in trial["steps"]) for each, trials in found.items()}
    for (program, precision), trials in found.items():
        agreement = psnr(reference, np.load(folder / f"{program}-{precision}.npy"))
        table.add_row(
            program,
            precision,
            f"{median(trial['load'] for trial in trials):.1f} s",
            f"{steps[program, precision]:.2f} s",
            f"{steps[program, precision] / steps['openvino', precision]:.2f}",
            f"{max(trial['memory'] for trial in trials) / 1e9:.2f} GB",
            f"{agreement:.1f} dB" if np.isfinite(agreement) else "the same",
        )
    Console().print(table)


def _measure(
    bundle: Path, checkpoint: Path, program: str, precision: str, result: Path, steps: int
) -> dict[str, Any]:
    path = Bundle.open(bundle).network("unet")
    inputs = _inputs({name: spec.shape for name, spec in open_network(path).inputs.items()})
    began = time.perf_counter()
    if program in EXECUTORS:
        executor = EXECUTORS[program]
        network = PortableNetwork(path, "cpu-only", cast(Precision, precision), executor=executor)
        predict: Predict = lambda arrays: network.predict(arrays)["noise_pred"]  # noqa: E731
    else:
        predict = _openvino(checkpoint, precision, inputs)
    loaded = time.perf_counter() - began
    np.save(result, predict(inputs))
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        predict(inputs)
        seconds.append(time.perf_counter() - began)
    return {"load": loaded, "steps": seconds, "memory": peak_memory()}


def _inputs(shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """The same random latents and words each time, at the middle of the way."""
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    return inputs | {"timestep": np.full(shapes["timestep"], 500, np.float32)}


def _openvino(checkpoint: Path, precision: str, inputs: dict[str, Array]) -> Predict:
    """The checkpoint's UNet, as OpenVINO's own converter and compiler make it."""
    import openvino
    import torch
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet", torch_dtype=torch.float32).eval()
    names = ("sample", "timestep", "encoder_hidden_states")
    arrays = dict(inputs, encoder_hidden_states=inputs["encoder_hidden_states"][:, :, 0].transpose(0, 2, 1))
    example = {name: torch.from_numpy(np.ascontiguousarray(arrays[name])) for name in names}
    with torch.inference_mode():
        model = openvino.convert_model(unet, example_input=example)
    del unet
    for name in names:
        model.input(name)
    model.reshape({name: list(example[name].shape) for name in names})
    options = {"INFERENCE_PRECISION_HINT": _OPENVINO_TYPES[precision], "PERFORMANCE_HINT": "LATENCY"}
    compiled = openvino.compile_model(model, "CPU", options)

    def predict(given: dict[str, Array]) -> Array:
        words = given["encoder_hidden_states"][:, :, 0].transpose(0, 2, 1)
        return cast(Array, compiled({**given, "encoder_hidden_states": words})[0])

    return predict


if __name__ == "__main__":
    main()
