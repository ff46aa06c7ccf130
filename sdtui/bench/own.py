"""A trial of sdtui's own pipeline."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from statistics import median

from sdtui.bench.measurement import Measurement, Steps, Trial
from sdtui.bench.page_cache import forget
from sdtui.bench.trial import Telling, peak_accelerator_memory, peak_memory, timed_load
from sdtui.bundle import Bundle
from sdtui.child import Tell
from sdtui.diffusion.errors import Cancelled
from sdtui.diffusion.events import Decoding, Encoding, Loading, PipelineEvent, Step
from sdtui.diffusion.parts import needed, packages
from sdtui.diffusion.pipeline import Pipeline
from sdtui.diffusion.schedulers import import_schedulers
from sdtui.request import GenerationRequest
from sdtui.runtime import Array, Network


class Stopwatch:
    """The seconds that networks ran, all together, and what their weights take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.weight_bytes = 0

    def watch(self, _path: Path, network: Network) -> Network:
        """The network, watched."""
        self.weight_bytes += network.weight_bytes
        return Watched(network, self)


class Watched:
    """A network whose time is taken."""

    def __init__(self, network: Network, watch: Stopwatch) -> None:
        self._network = network
        self._watch = watch
        self.inputs = network.inputs
        self.outputs = network.outputs
        self.runtime = network.runtime
        self.weight_bytes = network.weight_bytes

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the network does. Raises :class:`NetworkError`."""
        began = time.perf_counter()
        try:
            return self._network.predict(inputs)
        finally:
            self._watch.seconds += time.perf_counter() - began

    def close(self) -> None:
        self._network.close()


def import_libraries() -> None:
    """What loading and the first picture would import otherwise."""
    import_schedulers()
    if sys.platform == "darwin" and find_spec("coremltools") is not None:
        import coremltools  # noqa: F401
    if find_spec("openvino") is not None:
        import sdtui.runtime.portable.openvino.compiled
    import sdtui.runtime.portable.network  # noqa: F401


def measure(trial: Trial, tell: Tell, start: float) -> Measurement:
    """Make ``trial``'s pictures; ``start`` is what the imports took. Raises SdtuiError."""
    bundle, watch, telling = Bundle.open(Path(trial.model)), Stopwatch(), Telling(trial, tell)
    request = trial.request
    pipeline = Pipeline(bundle, request.compute_units, request.precision, watch.watch)
    folders = [folder for part in needed(bundle, request) for folder, _ in packages(bundle, part)]
    weights = [file for folder in folders for file in folder.rglob("*") if file.is_file()]

    def first_step() -> float:
        return _first_step(pipeline, request)

    telling.at("loading, for the first time")
    forget(weights)
    cold = timed_load(pipeline.load, first_step, weights)
    weight_bytes = watch.weight_bytes

    steps: list[list[float]] = []
    last = 0.0

    def on_event(event: PipelineEvent) -> None:
        nonlocal last
        match event:
            case Loading(network=network):
                telling.at(f"loading {network}")
            case Encoding():
                last = 0.0
                steps.append([])
                telling.at("reading the prompt")
            case Step(elapsed=elapsed):
                steps[-1].append(elapsed - last)
                last = elapsed
                telling.step(steps[-1][-1])
            case Decoding():
                telling.at("decoding")

    seconds, predicted = [], []
    for _ in range(trial.repeat):
        watch.seconds = 0.0
        picture = pipeline.generate(request, on_event)
        seconds.append(picture.seconds)
        predicted.append(watch.seconds)
    if trial.picture is not None:
        picture.image.save(trial.picture)
    memory, accelerator = peak_memory(), peak_accelerator_memory()

    telling.at("loading once more")
    pipeline.close()
    gc.collect()
    warm = timed_load(pipeline.load, first_step, weights)
    pipeline.close()
    totals = [each.total for each in seconds]
    middle = sorted(range(len(totals)), key=totals.__getitem__)[len(totals) // 2]
    return Measurement(
        program="sdtui",
        runtime=picture.runtime,
        request=request,
        repeat=trial.repeat,
        start=start,
        cold=cold,
        warm=warm,
        text=median(each.text for each in seconds),
        steps=Steps.of(steps),
        decode=median(each.decode for each in seconds),
        end_to_end=totals[middle],
        predict=predicted[middle],
        memory=memory,
        accelerator_memory=accelerator,
        weights=weight_bytes,
    )


def _first_step(pipeline: Pipeline, request: GenerationRequest) -> float:
    """The seconds of the first step of ``request``, which is then stopped."""
    seconds: list[float] = []

    def on_event(event: PipelineEvent) -> None:
        if isinstance(event, Step):
            seconds.append(event.elapsed)

    with contextlib.suppress(Cancelled):
        pipeline.generate(request, on_event, lambda: bool(seconds))
    return seconds[0]
