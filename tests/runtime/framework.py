"""An imitation of coremltools' way to the Core ML framework, which records what it is asked.

It has coremltools' own signatures (a test compares them) and refuses what the real binding refuses.
It compiles by copying and predicts with the portable runtime.
"""

from __future__ import annotations

import enum
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sdtui.runtime import Array


class ComputeUnit(enum.Enum):
    ALL = 1
    CPU_AND_GPU = 2
    CPU_ONLY = 3
    CPU_AND_NE = 4


class ReshapeFrequency(enum.Enum):
    Frequent = 1
    Infrequent = 2


class SpecializationStrategy(enum.Enum):
    Default = 1
    FastPrediction = 2


class Framework:
    """``said`` is the conversation so far. ``refuses_load`` and ``refuses_run`` get the units asked for."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.compiled: list[Path] = []
        self.loaded: list[Path] = []
        self.hints: list[dict[str, Any] | None] = []
        self.fed: list[dict[str, Array]] = []
        self.refuses_load: Callable[[str], bool] = lambda _: False
        self.refuses_run: Callable[[str], bool] = lambda _: False
        self.while_compiling: Callable[[Path], None] = lambda _: None
        framework = self

        class CompiledMLModel:
            def __init__(
                self,
                path: str,
                compute_units: ComputeUnit = ComputeUnit.ALL,
                function_name: str | None = None,
                optimization_hints: dict[str, Any] | None = None,
                asset: object | None = None,
            ) -> None:
                assert isinstance(path, str)
                assert path.endswith(".mlmodelc")
                assert isinstance(compute_units, ComputeUnit)
                assert asset is None
                self._units = compute_units.name
                self._path, self._function = Path(path), function_name
                self._network: Any = None
                refused = framework.refuses_load(self._units)
                framework.said.append(
                    " ".join(filter(None, ("load", self._units, function_name, "refused" * refused)))
                )
                if refused:
                    raise RuntimeError("Unable to load the model.\nDetails nobody wants")
                framework.loaded.append(self._path)
                framework.hints.append(optimization_hints)

            def predict(self, data: dict[str, Array], state: object | None = None) -> dict[str, Array]:
                from sdtui.runtime.portable.network import PortableNetwork

                assert state is None
                for array in data.values():
                    assert array.flags.writeable
                    assert array.flags.c_contiguous
                    assert array.dtype in (np.float32, np.int32)
                    assert array.ndim
                refused = framework.refuses_run(self._units)
                framework.said.append(f"run {self._units}{' refused' * refused}")
                if refused:
                    raise RuntimeError("Error computing NN outputs.")
                framework.fed.append(dict(data))
                if self._network is None:
                    package = next(self._path.glob("*.mlpackage"))
                    self._network = PortableNetwork(package, "cpu-only", "fp32", self._function)
                results: dict[str, Array] = self._network.predict(data)
                data.clear()
                return results

        self.module = SimpleNamespace(
            __version__="9.0",
            __spec__=object(),
            ComputeUnit=ComputeUnit,
            ReshapeFrequency=ReshapeFrequency,
            SpecializationStrategy=SpecializationStrategy,
            models=SimpleNamespace(
                CompiledMLModel=CompiledMLModel,
                utils=SimpleNamespace(compile_model=self._compile_model),
            ),
        )

    def _compile_model(self, model: str, destination_path: str | None = None) -> str:
        assert destination_path is not None
        destination = Path(destination_path)
        assert destination.suffix == ".mlmodelc"
        assert not destination.exists()
        self.said.append("compile")
        self.compiled.append(destination)
        shutil.copytree(model, destination / Path(model).name)
        self.while_compiling(destination)
        return destination_path

    def heard(self) -> list[str]:
        """What was said since it was asked last."""
        said, self.said = self.said, []
        return said
