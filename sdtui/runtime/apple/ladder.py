"""A compiled network, loaded on the first compute units that take it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sdtui.request import ComputeUnits
from sdtui.runtime.apple.cache import Lease, first_line
from sdtui.runtime.apple.macos import MacOS
from sdtui.runtime.apple.progress import LoadClock
from sdtui.runtime.apple.units import DENOISERS
from sdtui.runtime.loading import Profile, Stage
from sdtui.runtime.network import Array, NetworkError

_UNITS: dict[ComputeUnits, str] = {
    "all": "ALL",
    "cpu-only": "CPU_ONLY",
    "cpu-and-gpu": "CPU_AND_GPU",
    "cpu-and-ne": "CPU_AND_NE",
}


class LadderModel:
    """Core ML's model on one rung of ``ladder``; it steps down where loading or its first run fails.

    What failed is remembered with the compiled network: the next start on this build of macOS leaves
    it out. Raises :class:`NetworkError` when the last rung has failed.
    """

    def __init__(
        self,
        name: str,
        lease: Lease,
        ladder: tuple[ComputeUnits, ...],
        function: str | None,
        hints: dict[str, Any] | None,
        tell: LoadClock,
    ) -> None:
        self._name = name
        self._lease = lease
        self._function = function
        self._hints = hints
        self._tell = tell
        fit = tuple(units for units in ladder if self._key(units) not in lease.record.unfit)
        self._rungs = list(fit or ladder)
        self._failures: dict[str, str] = {}
        self._proven = False
        self._model: Any = self._load()

    @property
    def units(self) -> ComputeUnits:
        """The compute units that it is loaded on."""
        return self._rungs[0]

    @property
    def loaded(self) -> bool:
        """False when the last rung has failed."""
        return self._model is not None

    def predict(self, arrays: Mapping[str, Array]) -> dict[str, Any]:
        """Core ML's answers, with ``arrays`` handed over as they are. Raises :class:`NetworkError`."""
        while True:
            try:
                answers: dict[str, Any] = self._model.predict(dict(arrays))
            except Exception as error:  # coremltools raises bare Exception and RuntimeError
                if self._proven:
                    raise self._error("run", error) from error
                self._model = None
                self._step_down("run", error)
                self._tell.restart()
                self._model = self._load()
            else:
                self._proven = True
                return answers

    def _load(self) -> Any:
        while True:
            try:
                return self._load_rung()
            except Exception as error:  # coremltools raises bare Exception and RuntimeError
                if not self._lease.renew():
                    self._step_down("load", error)

    def _load_rung(self) -> Any:
        import coremltools

        key, record = self._key(self.units), self._lease.record
        stage: Stage = "loading" if key in record.specialised else "specialising"
        timed = f"{stage} {key}"
        self._tell(stage, record.seconds.get(timed))
        began = time.perf_counter()
        model = coremltools.models.CompiledMLModel(
            str(self._lease.compiled),
            compute_units=coremltools.ComputeUnit[_UNITS[self.units]],
            function_name=self._function,
            optimization_hints=self._hints,
        )
        self._lease.remember(
            seconds={**record.seconds, timed: time.perf_counter() - began},
            specialised=record.specialised | {key},
            unfit={**record.unfit, **self._failures},
        )
        self._tell("ready")
        return model

    def _step_down(self, verb: str, error: Exception) -> None:
        """Leave the rung that failed; what is left of the ladder may still do."""
        failed = self._rungs.pop(0)
        self._failures[self._key(failed)] = first_line(error)
        if not self._rungs:
            unfit = self._lease.record.unfit
            # Nothing works: that says something of the network or of memory, nothing of the units.
            self._lease.remember(unfit={key: unfit[key] for key in unfit.keys() - self._failures.keys()})
            raise self._error(verb, error) from error
        self._tell.note(f"{failed} failed ({first_line(error)}), {self.units} is used instead")

    def _error(self, verb: str, error: Exception) -> NetworkError:
        return NetworkError(
            f"Core ML cannot {verb} {self._name}", first_line(error), "choose other compute units"
        )

    def _key(self, units: ComputeUnits) -> str:
        return f"{units} {self._function}" if self._function else units


def hints(profile: Profile | None, macos: MacOS) -> dict[str, Any] | None:
    """What Core ML may know beforehand, from macOS 15 on: shapes never change, and a denoiser is run
    so often that preparing it may take longer."""
    if macos.version < (15,):
        return None
    import coremltools

    known: dict[str, Any] = {"reshapeFrequency": coremltools.ReshapeFrequency.Infrequent}
    if profile is not None and profile.role in DENOISERS:
        known["specializationStrategy"] = coremltools.SpecializationStrategy.FastPrediction
    return known
