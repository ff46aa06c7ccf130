"""A function compiled by OpenVINO, ready to run."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import openvino
import torch
from torch import Tensor

from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.executor import StepError, execute
from sdtui.runtime.portable.openvino.division import divided, precisions
from sdtui.runtime.portable.openvino.innermost import channels_innermost
from sdtui.runtime.portable.openvino.translation import UntranslatableError, translated
from sdtui.runtime.portable.package import Package
from sdtui.runtime.portable.plan import Plan, prepare
from sdtui.runtime.portable.program import Function

_TYPES = {None: "f32", torch.bfloat16: "bf16"}
_SETTINGS = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
"""Threads that are pinned to a core wait behind whoever is there: a fifth slower on a busy machine."""
_RELEASED_EVERY = 0.1
"""Seconds."""


class CompiledFunction:
    """A function on a processor. ``half`` is what it multiplies in, or None when all is fp32.

    The part that a program keeps from half precision, that of timesteps, torch computes.
    Raises UntranslatableError for what OpenVINO cannot do, or could do only in another precision.
    """

    def __init__(
        self, function: Function, constants: Constants, package: Package, half: torch.dtype | None
    ) -> None:
        exact, rest = divided(function)
        self.half = _half(half, precisions(rest))
        self._exact: Plan = prepare(exact, constants, None)
        model = translated(channels_innermost(rest, constants), constants)
        settings = _SETTINGS | {"INFERENCE_PRECISION_HINT": _TYPES[self.half]}
        try:
            with _released(package):
                self._compiled = openvino.Core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise UntranslatableError(str(error)) from error
        self._outputs = function.outputs

    def __call__(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors in, tensors out, by name. Raises StepError."""
        crossing = execute(self._exact, inputs)
        try:
            results = self._compiled({name: tensor.numpy() for name, tensor in crossing.items()})
        except RuntimeError as error:
            raise StepError("openvino") from error
        return {name: torch.from_numpy(results[name]) for name in self._outputs}


def _half(wanted: torch.dtype | None, declared: set[str]) -> torch.dtype | None:
    """What all of a function can be computed in: OpenVINO knows no exceptions."""
    if wanted is not None and declared == {"fp16", "fp32"}:
        raise UntranslatableError("a program in two precisions")
    return wanted if "fp16" in declared else None


@contextmanager
def _released(package: Package) -> Iterator[None]:
    """Weights are read from their file while it lasts; the pages behind the reader are given back.

    OpenVINO makes its own copy, in the layout and the precision that it wants: the file's must not
    be in memory too.
    """
    done = threading.Event()

    def release() -> None:
        while not done.wait(_RELEASED_EVERY):
            package.release()

    thread = threading.Thread(target=release, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        package.release()
