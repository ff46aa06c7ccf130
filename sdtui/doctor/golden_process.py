"""One golden picture in a process of its own: see :mod:`sdtui.child`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from sdtui.bench.errors import MeasurementError
from sdtui.bench.outcome import NOTHING
from sdtui.bundle import Bundle
from sdtui.child import Tell, serve
from sdtui.conversion import Stage
from sdtui.convert.accuracy import psnr
from sdtui.diffusion.events import PipelineEvent, Step
from sdtui.diffusion.pipeline import Pipeline
from sdtui.doctor.golden import Order, Outcome
from sdtui.doctor.golden_record import EQUAL, Agreement
from sdtui.runtime import Array, Network


class Overheard:
    """A VAE decoder, and what it was last given and gave."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.inputs = network.inputs
        self.outputs = network.outputs
        self.runtime = network.runtime
        self.weight_bytes = network.weight_bytes
        self.numbers: dict[str, Array] = {}

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """As the network does. Raises :class:`NetworkError`."""
        results = self._network.predict(inputs)
        self.numbers = {"latents": inputs["z"].copy(), "picture": results["image"].copy()}
        return results

    def close(self) -> None:
        self._network.close()


def run(order: Order, tell: Tell) -> Outcome:
    """Make the picture, keep its numbers, compare them. Raises SdtuiError."""
    bundle = Bundle.open(Path(order.model))
    (decoder, *_) = bundle.halves("vae_decoder")
    heard: list[Overheard] = []

    def watch(path: Path, network: Network) -> Network:
        if path != decoder:
            return network
        heard.append(Overheard(network))
        return heard[-1]

    def on_event(event: PipelineEvent) -> None:
        done, left = (event.index / event.total, event.remaining) if isinstance(event, Step) else (0.0, None)
        tell(Stage("", type(event).__name__.lower(), round(done, 3), 0.0, left))

    pipeline = Pipeline(bundle, order.request.compute_units, order.request.precision, watch)
    picture = pipeline.generate(order.request, on_event)
    pipeline.close()
    numbers = heard[-1].numbers
    np.savez_compressed(
        order.output,
        latents=numbers["latents"].astype(np.float32),
        picture=np.clip(numbers["picture"], -1, 1).astype(np.float16),
    )
    return Outcome(
        runtime=picture.runtime,
        seconds=picture.seconds.total - picture.seconds.load,
        agreements={
            name: _agreement(Path(file), Path(order.output)) for name, file in order.references.items()
        },
    )


def _agreement(past: Path, now: Path) -> Agreement:
    """Raises :class:`MeasurementError` when what was kept cannot be read."""
    try:
        with np.load(past, allow_pickle=False) as reference, np.load(now, allow_pickle=False) as measured:
            return Agreement(*(_decibels(reference[name], measured[name]) for name in ("latents", "picture")))
    except Exception as error:  # zipfile, zlib and numpy each have their own
        raise MeasurementError(
            "golden latents cannot be compared", f"{past.name} is broken", f"delete {past}"
        ) from error


def _decibels(reference: Array, measured: Array) -> float:
    if reference.shape != measured.shape:
        return -EQUAL
    return max(-EQUAL, min(EQUAL, psnr(reference.astype(np.float32), measured.astype(np.float32))))


if __name__ == "__main__":
    sys.exit(serve(Order, run, unfinished=NOTHING))
