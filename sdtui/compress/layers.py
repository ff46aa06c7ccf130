"""A network that can be stopped before any layer, and gone on with as it is or with the layer changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sdtui.convert.encoding.encoded import FloatType
from sdtui.convert.encoding.encodings import WEIGHT_THRESHOLD
from sdtui.runtime import Array, NetworkError
from sdtui.runtime.inputs import checked
from sdtui.runtime.portable.constants import Constants
from sdtui.runtime.portable.executor import Registers, StepError, begin, perform, results
from sdtui.runtime.portable.fusion import fuse
from sdtui.runtime.portable.package import open_package, reading
from sdtui.runtime.portable.plan import prepare
from sdtui.runtime.portable.program import NUMPY_DTYPES, Function, Operation, TensorType

CHANNEL_AXES = {"conv": 0, "linear": 0, "conv_transpose": 1}
"""Where the output channels of a weight lie, by the operation that multiplies by it."""


@dataclass(frozen=True)
class Layer:
    """A multiplication by a constant weight.

    ``operation`` is the name of its result, ``step`` its place among the steps; ``weight`` is the
    constant's name, ``shape`` its shape.
    """

    operation: str
    step: int
    weight: str
    dtype: FloatType
    shape: tuple[int, ...]
    channel_axis: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True)
class Change:
    """What is different in a layer: its weight, or its input rounded to ``scale`` times an int8."""

    weight: Tensor | None = None
    scale: float | None = None


class LayeredNetwork:
    """A package on the portable runtime, in fp32 on the best device there is.

    ``layers`` are those with a weight of more than 2048 numbers, in the order in which they run; a
    weight that several share belongs to the first. Raises :class:`NetworkError`.
    """

    def __init__(self, package: Path) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._package = open_package(package)
        self.inputs = self._package.inputs
        self.outputs = self._package.outputs
        function = self._package.model.function
        with reading(package), torch.inference_mode():
            self._constants = Constants(self._package, function, self._device)
            fused = fuse(function, self._constants)
            self._plan = prepare(fused, self._constants, None)
        self.steps = len(self._plan.steps)
        self.layers = self._find_layers(fused)

    def weight(self, layer: Layer) -> Array:
        """The layer's weight as it is now, in the type in which the program holds it."""
        tensor = self._constants.tensor(layer.weight)
        return np.asarray(tensor.cpu().numpy().astype(NUMPY_DTYPES[layer.dtype]))

    def tensor(self, weight: Array) -> Tensor:
        """A weight as this network multiplies by it."""
        return torch.tensor(weight).to(self._device, torch.float32)

    def start(self, inputs: Mapping[str, Array]) -> Run:
        """A run that stands before the first step. Raises :class:`NetworkError` for wrong inputs."""
        arrays = checked(self._package.path.name, self.inputs, inputs)
        tensors = {name: torch.tensor(array, device=self._device) for name, array in arrays.items()}
        return Run(self, begin(self._plan, tensors), 0)

    def _find_layers(self, function: Function) -> tuple[Layer, ...]:
        places = {step.operation: index for index, step in enumerate(self._plan.steps)}
        types = {
            output.name: output.type
            for operation in self._package.model.function.operations
            for output in operation.outputs
        }
        layers: dict[str, Layer] = {}
        for operation in function.operations:
            name = _weight_name(operation, types)
            place = places.get(f"{operation.type} {operation.name}")
            if name is None or name not in self._constants or place is None:
                continue
            shape = tuple(size or 0 for size in types[name].shape)
            if prod(shape) > WEIGHT_THRESHOLD and name not in layers:
                dtype: FloatType = "fp16" if types[name].dtype == "fp16" else "fp32"
                axis = CHANNEL_AXES[operation.type]
                layers[name] = Layer(operation.name, place, name, dtype, shape, axis)
        return tuple(layers.values())


class Run:
    """Somewhere within a run: the steps up to ``position`` are done."""

    def __init__(self, network: LayeredNetwork, registers: Registers, position: int) -> None:
        self._network = network
        self._plan = network._plan
        self._registers = registers
        self.position = position

    def advance(self, layer: Layer) -> None:
        """Go on to right before ``layer``. Raises :class:`NetworkError` when a step fails."""
        self._perform_until(layer.step)

    def input(self, layer: Layer) -> Tensor:
        """What the layer, before which the run stands, is about to be given."""
        value = self._registers[self._plan.steps[layer.step].inputs[0]]
        assert isinstance(value, Tensor)
        return value

    def finish(self, changes: Mapping[Layer, Change] | None = None) -> dict[str, Array]:
        """The outputs, float32 by name, with some of the layers ahead changed. The run stays where it is."""
        rest = Run(self._network, list(self._registers), self.position)
        for layer, change in sorted((changes or {}).items(), key=lambda pair: pair[0].step):
            rest._perform_until(layer.step)
            rest._change(layer, change)
        rest._perform_until(len(self._plan.steps))
        return {
            name: np.array(tensor.float().cpu().numpy())
            for name, tensor in results(self._plan, rest._registers).items()
        }

    def _perform_until(self, end: int) -> None:
        for step in self._plan.steps[self.position : end]:
            try:
                perform(step, self._registers)
            except StepError as error:
                raise NetworkError(
                    "the network cannot be measured",
                    f"its operation {error.operation} failed ({error.__cause__})",
                    "convert the model again",
                ) from error
        self.position = max(self.position, end)

    def _change(self, layer: Layer, change: Change) -> None:
        step = self._plan.steps[layer.step]
        if change.weight is not None:
            self._registers[step.inputs[1]] = change.weight
        if change.scale is None:
            return
        # Others may read the same value: only this one step sees it rounded.
        place = step.inputs[0]
        exact = self.input(layer)
        self._registers[place] = fake_int8(exact, change.scale)
        self._perform_until(layer.step + 1)
        if place not in step.dead:
            self._registers[place] = exact


def fake_int8(values: Tensor, scale: float) -> Tensor:
    """The multiples of ``scale`` by an integer from -128 to 127 that are nearest to ``values``."""
    return (values / scale).round().clamp(-128, 127) * scale


def _weight_name(operation: Operation, types: Mapping[str, TensorType]) -> str | None:
    if operation.type not in CHANNEL_AXES:
        return None
    bound = operation.inputs.get("weight", ())
    name = bound[0] if len(bound) == 1 else None
    return name if isinstance(name, str) and name in types else None
