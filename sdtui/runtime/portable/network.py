"""A Core ML network run by torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sdtui.request import ComputeUnits, Precision
from sdtui.runtime.chained import ChainedNetwork
from sdtui.runtime.inputs import checked
from sdtui.runtime.network import Array, Network, NetworkError, TensorSpec
from sdtui.runtime.portable import openvino
from sdtui.runtime.portable.compiled import open_network, stages
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.executor import OPERATION_ERRORS, StepError, execute
from sdtui.runtime.portable.fusion import fuse, join_activations
from sdtui.runtime.portable.package import Package, reading
from sdtui.runtime.portable.packing import Packing
from sdtui.runtime.portable.plan import prepare
from sdtui.runtime.portable.program import Function

Executor = Literal["auto", "torch", "openvino"]
"""What runs the operations: ``auto`` is OpenVINO where it is installed and better, else torch."""

_Run = Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
_NAMES = {torch.bfloat16: "bf16", torch.float16: "fp16", None: "fp32"}


def load_portable(
    path: Path, compute_units: ComputeUnits, precision: Precision, function: str | None = None
) -> Network:
    """The network at ``path``; a compiled pipeline's two stages are chained. Raises NetworkError."""
    found = stages(path)
    if found == (path,):
        return PortableNetwork(path, compute_units, precision, function)
    networks = []
    for stage in found:
        try:
            networks.append(PortableNetwork(stage, compute_units, precision, function))
        except NetworkError as error:
            why = f"in its {stage.name}, {error.why}"
            raise NetworkError(f"cannot load {path.name}", why, error.remedy) from error
    return ChainedNetwork(*networks)


class PortableNetwork:
    """A network on CPU or CUDA. The same inputs give the same bytes.

    ``precision`` is that of the operations that multiply, where the program declares fp16; what it
    declares as fp32 is computed in fp32. ``auto`` is fp16 on CUDA, bf16 on a processor that has it,
    else fp32. ``function`` is the one to run of several, None for the default one. With ``streamed``
    weights stay on disk and are read for each step that needs them: slower, in a fraction of the
    memory, and the same but for rounding. ``executor`` is never more than a wish: torch runs what
    OpenVINO does not know. Raises :class:`NetworkError` when the path holds no network, or a broken one.
    """

    def __init__(
        self,
        path: Path,
        compute_units: ComputeUnits = "all",
        precision: Precision = "auto",
        function: str | None = None,
        *,
        streamed: bool = False,
        executor: Executor = "auto",
    ) -> None:
        self._device = _device(compute_units)
        half = _half(precision, self._device)
        package = open_network(path, function)
        self._name = path.name
        self.inputs: Mapping[str, TensorSpec] = package.inputs
        self.outputs: Mapping[str, TensorSpec] = package.outputs
        self.weight_bytes = package.weight_bytes
        if executor == "auto":
            names = (*self.inputs, *self.outputs)
            better = not streamed and openvino.suits(self._device, self.weight_bytes, names)
            executor = "openvino" if better else "torch"
        self._run: _Run | None
        self._run, self.runtime = _prepared(package, self._device, half, streamed, executor)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: arrays of the shapes of ``inputs`` to float32 or int32 arrays, by name.

        Raises :class:`NetworkError` for a missing, unknown or wrongly shaped input, and when an
        operation fails, for want of memory for example.
        """
        if self._run is None:
            raise NetworkError(f"cannot run {self._name}", "it is closed", "load it again")
        arrays = checked(self._name, self.inputs, inputs)
        # torch.tensor copies: nothing that is given here can change under a step's hands.
        tensors = {name: torch.tensor(array, device=self._device) for name, array in arrays.items()}
        try:
            with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
                results = self._run(tensors)
        except StepError as error:
            raise self._failure(error) from error
        return {name: _array(results[name]) for name in self.outputs}

    def close(self) -> None:
        """Give the memory back; the network cannot be used afterwards."""
        self._run = None

    def _failure(self, error: StepError) -> NetworkError:
        what, cause = f"cannot run {self._name}", error.__cause__
        if _out_of_memory(cause):
            return _no_memory(what)
        why = f"its operation {error.operation} failed ({_first_line(cause)})"
        return NetworkError(what, why, "convert the model again")


def _prepared(
    package: Package, device: torch.device, half: torch.dtype | None, streamed: bool, executor: Executor
) -> tuple[_Run, str]:
    """The network's function, ready to run, and the name of what runs it."""
    function = package.model.function
    with reading(package.path), torch.inference_mode():
        try:
            constants = Constants(package, function, device, streamed=streamed)
            fused = join_activations(fuse(function, constants), constants)
            compiled = _compiled(package, fused, constants, half) if executor == "openvino" else None
            if compiled is not None:
                return compiled
            plan = prepare(fused, constants, half, Packing(fused, constants).pack)
        except OPERATION_ERRORS as error:
            what = f"cannot load {package.path.name}"
            if _out_of_memory(error):
                raise _no_memory(what) from error
            why = f"its program is broken ({_first_line(error)})"
            raise NetworkError(what, why, "convert the model again") from error
    where = " cuda" if device.type == "cuda" else ""
    return partial(execute, plan), f"portable {_NAMES[plan.half]}{where}"


def _compiled(
    package: Package, function: Function, constants: Constants, half: torch.dtype | None
) -> tuple[_Run, str] | None:
    """The same by OpenVINO; None where it cannot."""
    from sdtui.runtime.portable.openvino.compiled import CompiledFunction
    from sdtui.runtime.portable.openvino.translation import UntranslatableError

    try:
        compiled = CompiledFunction(function, constants, package, half)
    except UntranslatableError:
        return None
    return compiled, f"portable openvino {_NAMES[compiled.half]}"


def _out_of_memory(error: BaseException | None) -> bool:
    """torch says so in words on a processor, by its own error on a GPU."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate" in _first_line(error)


def _no_memory(what: str) -> NetworkError:
    return NetworkError(what, "memory ran out", "close other programs, or use a smaller model")


def _first_line(error: BaseException | None) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")


def _device(compute_units: ComputeUnits) -> torch.device:
    return torch.device("cuda" if compute_units != "cpu-only" and torch.cuda.is_available() else "cpu")


def _half(precision: Precision, device: torch.device) -> torch.dtype | None:
    if precision == "fp16" and device.type == "cpu":
        raise NetworkError(
            "cannot run in fp16", "a processor takes hundreds of times longer in it", "choose fp32 or bf16"
        )
    if precision == "auto":
        if device.type == "cuda":
            return torch.float16
        return torch.bfloat16 if _native_bf16() else None
    return {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def _native_bf16() -> bool:
    """Whether the processor multiplies bf16 itself; where it does not, torch is slower in it.

    Measured with AVX-512 BF16, two samples a step: a UNet of 8 M parameters on 8x8 latents takes
    26 ms in bf16, 45 ms in fp32. An older torch cannot say, and ARM was not measured: both use fp32.
    """
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))


def _array(tensor: Tensor) -> Array:
    kind = torch.float32 if tensor.is_floating_point() else torch.int32
    return np.array(tensor.to("cpu", kind).numpy())
