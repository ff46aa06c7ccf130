"""Real inputs of a denoiser: what it is given while the model draws a few pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from sdtui.bundle import Bundle, reference
from sdtui.bundle.manifest import NetworkRole
from sdtui.diffusion.errors import Cancelled
from sdtui.diffusion.events import PipelineEvent, Step
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network

Inputs = Mapping[str, Array]

PROMPTS = (
    "red apple on a blue background",
    "a photo of a lighthouse at dusk",
    "portrait of an old man, oil painting",
    "a cat asleep on a windowsill",
    "snow on a mountain, wide view",
    "a bowl of ramen, studio light",
    "green car on a yellow background",
    "a robot reading a book, 3d render",
)
"""Things, people, places and styles; the first words of several suit the built-in model too."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """Which inputs are recorded: ``samples`` of them, each from another moment of a picture.

    Picture i has prompt i (they repeat) and seed ``seed`` + i, in ``steps`` steps.
    """

    prompts: tuple[str, ...] = PROMPTS
    samples: int = 8
    steps: int = 10
    seed: int = 0

    def other(self) -> Calibration:
        """As many inputs that are none of these: other seeds, and the prompts at other moments."""
        return msgspec.structs.replace(self, prompts=self.prompts[::-1], seed=self.seed + 1000)

    def moments(self) -> list[list[int]]:
        """For each picture the steps, from 1, at which to record: all of them spread evenly."""
        pictures: list[list[int]] = [[] for _ in range(min(self.samples, len(self.prompts)))]
        for sample in range(self.samples):
            step = 1 + int((sample + 0.5) / self.samples * self.steps)
            pictures[sample % len(pictures)].append(step)
        return pictures


class Recorder:
    """A network that remembers what it was last given."""

    def __init__(self, network: Network) -> None:
        self.inputs = network.inputs
        self.outputs = network.outputs
        self.runtime = network.runtime
        self.weight_bytes = network.weight_bytes
        self.last: Inputs = {}
        self._network = network

    def predict(self, inputs: Inputs) -> dict[str, Array]:
        """Run, and remember."""
        self.last = {name: array.copy() for name, array in inputs.items()}
        return self._network.predict(inputs)

    def close(self) -> None:
        """Close the network."""
        self._network.close()


def record(
    bundle: Bundle,
    roles: Iterable[NetworkRole],
    calibration: Calibration,
    cancelled: Callable[[], bool] = lambda: False,
) -> dict[NetworkRole, list[Inputs]]:
    """``calibration.samples`` inputs of each network; none of one that pictures are made without.

    The same values give the same inputs. Raises SdtuiError when the model cannot draw, or
    :class:`~sdtui.diffusion.errors.Cancelled`.
    """
    names = {bundle.network(role): role for role in roles}
    recorders: dict[NetworkRole, Recorder] = {}

    def watch(path: Path, network: Network) -> Network:
        if path not in names:
            return network
        recorders[names[path]] = Recorder(network)
        return recorders[names[path]]

    samples: dict[NetworkRole, list[Inputs]] = {role: [] for role in names.values()}
    pipeline = Pipeline(bundle, watch=watch)
    try:
        pipeline.load(cancelled=cancelled)
        for index, moments in enumerate(calibration.moments() if recorders else ()):
            request = _request(bundle, calibration, index)
            for last in _picture(pipeline, recorders, request, moments, cancelled):
                for role, inputs in last.items():
                    samples[role].append(inputs)
    finally:
        pipeline.close()
    return samples


def _request(bundle: Bundle, calibration: Calibration, index: int) -> GenerationRequest:
    return GenerationRequest(
        prompt=calibration.prompts[index % len(calibration.prompts)],
        model=reference(bundle),
        steps=calibration.steps,
        seed=calibration.seed + index,
    )


def _picture(
    pipeline: Pipeline,
    recorders: Mapping[NetworkRole, Recorder],
    request: GenerationRequest,
    moments: Sequence[int],
    cancelled: Callable[[], bool],
) -> list[dict[NetworkRole, Inputs]]:
    """What the networks are given at these steps; the picture is left as soon as they are over."""
    found: list[dict[NetworkRole, Inputs]] = []

    def on_event(event: PipelineEvent) -> None:
        if isinstance(event, Step) and event.index in moments:
            found.append({role: recorder.last for role, recorder in recorders.items()})

    def enough() -> bool:
        return len(found) == len(moments) or cancelled()

    try:
        pipeline.generate(request, on_event, enough)
    except Cancelled:
        if len(found) < len(moments):
            raise
    return found
