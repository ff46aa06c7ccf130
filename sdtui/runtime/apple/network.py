"""A network run by the Core ML framework."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sdtui.request import ComputeUnits
from sdtui.runtime.apple.buffers import InputBuffers
from sdtui.runtime.apple.cache import CompiledCache
from sdtui.runtime.apple.ladder import LadderModel, hints
from sdtui.runtime.apple.progress import LoadClock
from sdtui.runtime.apple.units import choose_units
from sdtui.runtime.inputs import checked
from sdtui.runtime.loading import OnStage, Profile, unheard
from sdtui.runtime.network import Array, NetworkError, TensorSpec


class AppleNetwork:
    """A network on the Core ML framework, compiled once and loaded from ``cache`` ever after.

    ``profile`` decides with ``compute_units`` on which units it is tried, one after the other;
    ``function`` is the one to run of several. ``on_stage`` hears how the load goes, and how it goes
    anew when the first run shows that other units are needed. Raises :class:`NetworkError` when the
    path holds no network or Core ML does not take it on any units.
    """

    def __init__(
        self,
        path: Path,
        compute_units: ComputeUnits = "all",
        function: str | None = None,
        *,
        profile: Profile | None = None,
        on_stage: OnStage = unheard,
        cache: CompiledCache | None = None,
    ) -> None:
        cache = cache or CompiledCache()
        tell = LoadClock(on_stage)
        choice = choose_units(profile, compute_units, cache.macos)
        if objection := choice.objection(compute_units):
            tell.note(
                f"{compute_units} is not used: {objection.why} ({objection.source}); "
                f"{choice.ladder[0]} is used instead"
            )
        self._name = path.name
        self._lease = cache.lease(path, function, tell)
        record = self._lease.record
        self.inputs, self.outputs = record.interfaces[function or ""].specs()
        self.weight_bytes = record.weight_bytes
        try:
            self._model: LadderModel | None = LadderModel(
                self._name, self._lease, choice.ladder, function, hints(profile, cache.macos), tell
            )
        except BaseException:
            self._lease.release()
            raise
        self.runtime = f"coreml {self._model.units}"
        self._buffers = InputBuffers(self.inputs)

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: arrays of the shapes of ``inputs`` to float32 or int32 arrays, by name.

        Raises :class:`NetworkError` for a missing, unknown or wrongly shaped input, and when Core ML
        fails.
        """
        if self._model is None:
            raise NetworkError(f"cannot run {self._name}", "it is closed", "load it again")
        self._buffers.fill(checked(self._name, self.inputs, inputs))
        try:
            answers = self._model.predict(self._buffers.arrays())
        except NetworkError:
            if not self._model.loaded:
                self.close()
            raise
        self.runtime = f"coreml {self._model.units}"
        return {name: self._copied(name, spec, answers) for name, spec in self.outputs.items()}

    def close(self) -> None:
        """Give the memory back; the network cannot be used afterwards."""
        if self._model is not None:
            self._model = None
            self._buffers.retire()
            self._lease.release()

    def _copied(self, name: str, spec: TensorSpec, answers: Mapping[str, Any]) -> Array:
        """An answer of Core ML as an array of our own: theirs lives no longer than they like."""
        what = f"Core ML cannot run {self._name}"
        if name not in answers:
            raise NetworkError(what, f"it gave no {name}", "convert the model again")
        array = np.array(answers[name], np.float32 if spec.dtype.kind == "f" else np.int32)
        if spec.shape and array.shape != spec.shape:
            why = f"its {name} has the shape {array.shape}, not {spec.shape}"
            raise NetworkError(what, why, "convert the model again")
        return array
