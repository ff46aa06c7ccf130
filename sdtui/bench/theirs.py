"""A trial of diffusers' StableDiffusionPipeline: the same weights, noise, scheduler and request."""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image

from sdtui.bench.errors import MeasurementError
from sdtui.bench.measurement import Measurement, Steps, Trial
from sdtui.bench.page_cache import forget
from sdtui.bench.trial import Telling, peak_accelerator_memory, peak_memory, timed_load
from sdtui.bundle import Bundle
from sdtui.child import Tell
from sdtui.convert.accuracy import psnr
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.schedulers import make_scheduler, read_scheduler_config

NETWORKS = ("text_encoder", "unet", "vae")
EQUAL = 300.0
"""dB: what pictures without a difference are said to agree by."""


def import_libraries() -> None:
    """What the first picture would import otherwise."""
    from diffusers import StableDiffusionPipeline  # noqa: F401


def measure(trial: Trial, tell: Tell, start: float) -> Measurement:
    """Make ``trial``'s pictures as a user of diffusers would: float32 on a processor, float16 on a GPU.

    Raises :class:`MeasurementError` when the checkpoint cannot be used.
    """
    bundle, telling = Bundle.open(Path(trial.model)), Telling(trial, tell)
    diffusers = _Diffusers(trial, bundle)
    weights = diffusers.weights()
    telling.at("loading, for the first time")
    forget(weights)
    cold = timed_load(diffusers.load, diffusers.first_step, weights)
    times: list[_Times] = []
    for _ in range(trial.repeat):
        telling.at("reading the prompt")
        image, clock = diffusers.picture(telling.step)
        times.append(clock)
    memory, accelerator = peak_memory(), peak_accelerator_memory()

    telling.at("loading once more")
    diffusers.unload()
    warm = timed_load(diffusers.load, diffusers.first_step, weights)
    return Measurement(
        program="diffusers",
        runtime=diffusers.runtime,
        request=trial.request,
        repeat=trial.repeat,
        start=start,
        cold=cold,
        warm=warm,
        text=median(each.text for each in times),
        steps=Steps.of([each.steps for each in times]),
        decode=median(each.decode for each in times),
        end_to_end=median(each.total for each in times),
        predict=None,
        memory=memory,
        accelerator_memory=accelerator,
        weights=sum(file.stat().st_size for file in weights),
        agreement=None if trial.picture is None else _agreement(image, Path(trial.picture)),
    )


class _Enough(Exception):  # noqa: N818 - nobody made an error
    """The first step is done."""


class _Diffusers:
    """Their pipeline on the device that it would run on, asked for the picture of ``trial``."""

    def __init__(self, trial: Trial, bundle: Bundle) -> None:
        if bundle.manifest.family != "sd":
            raise MeasurementError(
                "diffusers is not measured",
                f"sdtui compares no models of the family {bundle.manifest.family} yet",
                "choose a Stable Diffusion 1 or 2 model, or leave out --against",
            )
        assert trial.checkpoint is not None
        self._folder = Path(trial.checkpoint)
        self._request = trial.request
        self._bundle = bundle
        self._device = _device(cpu_only=trial.request.compute_units == "cpu-only")
        self._dtype = torch.float32 if self._device == "cpu" else torch.float16
        self._pipeline: Any = None
        self.runtime = f"diffusers {'fp32' if self._device == 'cpu' else 'fp16'} {self._device}"

    def weights(self) -> list[Path]:
        """The files that a load reads."""
        files = [file for name in NETWORKS for file in (self._folder / name).glob("*")]
        return [file for file in files if file.suffix in (".safetensors", ".bin")]

    def load(self) -> None:
        """As people do it. Raises :class:`MeasurementError`."""
        self._pipeline = _pipeline(self._folder, self._dtype).to(self._device)
        self._pipeline.tokenizer.model_max_length = self._bundle.manifest.token_length

    def unload(self) -> None:
        self._pipeline = None
        gc.collect()

    def first_step(self) -> float:
        """The seconds of the first step of a picture, which is then given up."""
        seconds: list[float] = []

        def enough(first: float) -> None:
            seconds.append(first)
            raise _Enough

        with contextlib.suppress(_Enough):
            self.picture(enough)
        return seconds[0]

    def picture(self, on_step: Callable[[float], None]) -> tuple[Image.Image, _Times]:
        """The picture and its times; ``on_step`` hears the seconds of each step."""
        request, manifest = self._request, self._bundle.manifest
        assert request.seed is not None
        rows, columns = manifest.height // manifest.scale, manifest.width // manifest.scale
        noise = Noise(request.seed, request.rng)
        latents = noise.draw((1, manifest.latent_channels, rows, columns))
        self._pipeline.scheduler = make_scheduler(
            request.scheduler, read_scheduler_config(self._bundle), request.steps
        )
        clock = _Times(on_step)
        watched = self._pipeline.unet.register_forward_pre_hook(clock.unet_called)
        try:
            image = self._pipeline(
                request.prompt,
                negative_prompt=request.negative_prompt,
                num_inference_steps=request.steps,
                guidance_scale=request.guidance_scale,
                width=manifest.width,
                height=manifest.height,
                latents=latents.to(self._device, self._dtype),
                generator=noise.generator(),
                callback_on_step_end=clock.step_ended,
            ).images[0]
        finally:
            watched.remove()
        clock.ended = time.perf_counter()
        return image, clock


class _Times:
    """When one picture's stages began: its steps begin with the UNet's first call."""

    def __init__(self, on_step: Callable[[float], None]) -> None:
        self._on_step = on_step
        self.began = time.perf_counter()
        self._stepping: float | None = None
        self._last = self.began
        self.ended = self.began
        self.steps: list[float] = []

    def unet_called(self, *_: object) -> None:
        if self._stepping is None:
            self._stepping = self._last = time.perf_counter()

    def step_ended(
        self, _pipeline: Any, _index: int, _timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        now = time.perf_counter()
        self.steps.append(now - self._last)
        self._last = now
        self._on_step(self.steps[-1])
        return tensors

    @property
    def text(self) -> float:
        assert self._stepping is not None
        return self._stepping - self.began

    @property
    def decode(self) -> float:
        return self.ended - self._last

    @property
    def total(self) -> float:
        return self.ended - self.began


def _pipeline(folder: Path, dtype: torch.dtype) -> Any:
    from diffusers import StableDiffusionPipeline

    logging.getLogger("diffusers").setLevel(logging.ERROR)
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            folder,
            torch_dtype=dtype,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
            local_files_only=True,
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        first = str(error).strip().partition("\n")[0].rstrip(".")
        raise MeasurementError(
            f"diffusers cannot load {folder}",
            first or type(error).__name__,
            "give the folder it was saved to",
        ) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _device(*, cpu_only: bool) -> str:
    if not cpu_only and torch.cuda.is_available():
        return "cuda"
    return "mps" if not cpu_only and torch.backends.mps.is_available() else "cpu"


def _agreement(image: Image.Image, ours: Path) -> float:
    """PSNR in dB between 8-bit pictures."""
    with Image.open(ours) as picture:
        reference = np.asarray(picture, np.float32)
    found = np.asarray(image, np.float32)
    if found.shape != reference.shape:
        return -EQUAL
    return max(-EQUAL, min(EQUAL, psnr(reference, found)))
