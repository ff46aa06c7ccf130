"""One request to one picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from PIL import Image

from sdtui.bundle import Bundle, reference
from sdtui.bundle.manifest import NetworkRole
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.codec import decode
from sdtui.diffusion.errors import Cancelled, DiffusionError
from sdtui.diffusion.events import Decoding, Encoding, Loading, PipelineEvent, Seconds
from sdtui.diffusion.families import StableDiffusion
from sdtui.diffusion.loop import denoise
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.residence import Residence
from sdtui.diffusion.schedulers import import_schedulers, make_scheduler, read_scheduler_config
from sdtui.request import ComputeUnits, GenerationRequest, Precision
from sdtui.runtime import LoadingStage, Network, OnStage, Profile, load_network
from sdtui.runtime.chained import ChainedNetwork

OnEvent = Callable[[PipelineEvent], None]
ACTIVATION_BYTES_A_PIXEL = 4096
"""An estimate, on the safe side: 1 GiB for a picture of 512 x 512 pixels."""
ROLES: tuple[NetworkRole, ...] = ("text_encoder", "unet", "vae_decoder")


class Load(Protocol):
    """Opens a network: :func:`~sdtui.runtime.load_network`, or somebody who watches what it opens."""

    def __call__(
        self,
        path: Path,
        compute_units: ComputeUnits,
        precision: Precision,
        *,
        profile: Profile,
        on_stage: OnStage,
    ) -> Network: ...


def _ignore(_event: PipelineEvent) -> None:
    """Nobody watches."""


def _never() -> bool:
    """Nobody stops it."""
    return False


@dataclass(frozen=True)
class Picture:
    """A finished picture and what it takes to make it again.

    ``request`` has its seed, size and model filled in. ``model`` is the model's name, ``model_hash``
    64 hex digits, ``runtime`` who ran the UNet: ``portable bf16``.
    """

    image: Image.Image
    request: GenerationRequest
    seconds: Seconds
    model: str
    model_hash: str
    runtime: str


@dataclass(frozen=True)
class _Loaded:
    """What is in memory while a pipeline is warm: where memory is short, one network at a time."""

    residence: Residence
    family: StableDiffusion


class Pipeline:
    """A model in memory: made once, asked for many pictures, closed when its memory is wanted.

    Where memory does not hold all its networks they take turns, each loaded when it is run.
    ``load`` opens its networks; whoever wants to watch one of them gives their own.
    """

    def __init__(
        self,
        bundle: Bundle,
        compute_units: ComputeUnits = "all",
        precision: Precision = "auto",
        load: Load = load_network,
    ) -> None:
        self.bundle = bundle
        self.compute_units = compute_units
        self.precision = precision
        self._load = load
        self._loaded: _Loaded | None = None
        self._on_event: OnEvent = _ignore

    @property
    def warm(self) -> bool:
        """Whether the networks are in memory."""
        return self._loaded is not None

    def load(self, on_event: OnEvent = _ignore, cancelled: Callable[[], bool] = _never) -> None:
        """Bring the networks into memory, unless they are there, and everything else that takes time.

        Raises :class:`NetworkError`, :class:`BundleError`, or :class:`Cancelled` between two of them.
        """
        self._warm_up(on_event, cancelled)
        import_schedulers()

    def generate(
        self,
        request: GenerationRequest,
        on_event: OnEvent = _ignore,
        cancelled: Callable[[], bool] = _never,
    ) -> Picture:
        """Make the one picture of ``request`` (``count`` 1, seed set), loading what is not loaded.

        The same request gives the same pixels. Raises :class:`SdtuiError` of the room where it went
        wrong, or :class:`Cancelled` at the next step after ``cancelled`` says so.
        """
        request = self._complete(request)
        assert request.seed is not None
        manifest = self.bundle.manifest
        clock, cold = _Clock(), not self.warm
        scheduler = make_scheduler(request.scheduler, read_scheduler_config(self.bundle), request.steps)
        loaded = self._warm_up(on_event, cancelled)
        load = clock.lap() * cold + self._fetch("text_encoder", clock)

        on_event(Encoding())
        guided = request.guidance_scale > 1
        prompts = (request.negative_prompt, request.prompt) if guided else (request.prompt,)
        words = loaded.family.condition(prompts)
        text = clock.lap()

        load += self._fetch("unet", clock)
        rows, columns = manifest.height // manifest.scale, manifest.width // manifest.scale
        noise = Noise(request.seed, request.rng)
        latents = denoise(
            noise.draw((1, manifest.latent_channels, rows, columns)),
            scheduler,
            partial(loaded.family.predict, words=words),
            guidance_scale=request.guidance_scale,
            generator=noise.generator(),
            colours=manifest.preview,
            on_event=on_event,
            cancelled=cancelled,
        )
        denoising = clock.lap()
        runtime = loaded.residence.present("unet").runtime

        if cancelled():
            raise Cancelled
        load += self._fetch("vae_decoder", clock)
        on_event(Decoding())
        image = decode(latents.numpy(), loaded.residence.present("vae_decoder"), manifest)
        decoding = clock.lap()
        return Picture(
            image=image,
            request=request,
            seconds=Seconds(load, text, denoising, decoding, clock.total),
            model=self.bundle.name,
            model_hash=self.bundle.hash,
            runtime=runtime,
        )

    def close(self) -> None:
        """Give the networks' memory back. The next picture loads them again."""
        if self._loaded:
            loaded, self._loaded = self._loaded, None
            loaded.residence.close()

    def _warm_up(self, on_event: OnEvent, cancelled: Callable[[], bool]) -> _Loaded:
        self._on_event = on_event  # a network may be loaded anew when it is first run
        if self._loaded:
            return self._loaded
        if self.bundle.manifest.family != "sd":
            raise DiffusionError(
                f"{self.bundle.name} makes no pictures yet",
                f"this version of sdtui cannot run its family, {self.bundle.manifest.family}",
                "choose a Stable Diffusion 1 or 2 model",
            )
        tokenizer = Tokenizer(self.bundle)
        residence = Residence(self._open, self._needs)
        try:
            for role in ROLES:
                if cancelled():
                    raise Cancelled
                residence.invite(role)
        except BaseException:
            residence.close()
            raise
        networks = (residence.resident("text_encoder"), residence.resident("unet"))
        self._loaded = _Loaded(residence, StableDiffusion(tokenizer, *networks))
        return self._loaded

    def _fetch(self, role: NetworkRole, clock: _Clock) -> float:
        """Have a network in memory; the seconds that its load took, 0 where it was there."""
        assert self._loaded is not None
        if self._loaded.residence.has(role):
            return 0.0
        self._loaded.residence.present(role)
        return clock.lap()

    def _needs(self, role: NetworkRole) -> int:
        """Bytes that a network is run in: its weights, and what lies between its operations."""
        manifest = self.bundle.manifest
        files = (file for half in self.bundle.halves(role) for file in half.rglob("*") if file.is_file())
        weights = sum(file.stat().st_size for file in files)
        return weights * 5 // 4 + manifest.width * manifest.height * ACTIVATION_BYTES_A_PIXEL

    def _open(self, role: NetworkRole) -> Network:
        manifest, index = self.bundle.manifest, ROLES.index(role) + 1
        self._on_event(Loading(role, index, len(ROLES)))
        profile = Profile(role, manifest.family, manifest.width, manifest.height, manifest.attention)

        def on_stage(stage: LoadingStage) -> None:
            known = (stage.stage, stage.elapsed, stage.expected, stage.note)
            self._on_event(Loading(role, index, len(ROLES), *known))

        load = partial(
            self._load,
            compute_units=self.compute_units,
            precision=self.precision,
            profile=profile,
            on_stage=on_stage,
        )
        first, *second = self.bundle.halves(role)
        network = load(first)
        try:
            for half in second:
                network = ChainedNetwork(network, load(half))
        except BaseException:
            network.close()
            raise
        return network

    def _complete(self, request: GenerationRequest) -> GenerationRequest:
        """``request`` with model and size filled in. Raises :class:`DiffusionError` for another size."""
        if request.seed is None or request.count != 1:
            raise ValueError("a pipeline makes one picture of one seed: see GenerationRequest.pictures")
        if (request.compute_units, request.precision) != (self.compute_units, self.precision):
            raise ValueError("the request asks for other compute units or precision than are loaded")
        manifest = self.bundle.manifest
        width, height = request.width or manifest.width, request.height or manifest.height
        if (width, height) != (manifest.width, manifest.height):
            raise DiffusionError(
                f"{self.bundle.name} cannot make {width} x {height} pixels",
                f"it has one size, {manifest.width} x {manifest.height}",
                "ask for that size or choose another model",
            )
        return request.replace(model=reference(self.bundle), width=width, height=height)


class _Clock:
    """Seconds between one call and the next, and in all."""

    def __init__(self) -> None:
        self._began = self._last = time.perf_counter()

    def lap(self) -> float:
        last, self._last = self._last, time.perf_counter()
        return self._last - last

    @property
    def total(self) -> float:
        return self._last - self._began
