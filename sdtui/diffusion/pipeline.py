"""One request to one picture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from PIL import Image

from sdtui.bundle import Bundle, reference
from sdtui.bundle.bundle import CONTROLNET_FOLDER
from sdtui.bundle.manifest import NetworkRole
from sdtui.bundle.t5_tokenizer import T5Tokenizer
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.checking import built_loras, check
from sdtui.diffusion.codec import decode, encode
from sdtui.diffusion.course import legs
from sdtui.diffusion.errors import Cancelled
from sdtui.diffusion.events import Blocked, Decoding, Encoding, Seconds
from sdtui.diffusion.families import Cast, Conditions, cast, conditioned
from sdtui.diffusion.loop import Leg, Moment, Show, Steering, Tell, denoise
from sdtui.diffusion.noise import Noise
from sdtui.diffusion.opening import OnEvent, Opener, Watch, ignore, unwatched
from sdtui.diffusion.parts import (
    Part,
    Size,
    denoiser,
    inputs,
    is_checked,
    needed,
    picture_size,
    previewing,
    vae_size,
)
from sdtui.diffusion.pictures.checking import inpaints
from sdtui.diffusion.pictures.control import Following, controlled
from sdtui.diffusion.pictures.fitting import levels
from sdtui.diffusion.pictures.given import Given, read_given
from sdtui.diffusion.pictures.upscaling import given_again, passes
from sdtui.diffusion.previewing import Sparing, decoded, show_colours
from sdtui.diffusion.residence import Residence, Resident
from sdtui.diffusion.safety import shows_unsafe
from sdtui.diffusion.schedulers import (
    fitting,
    image_timesteps,
    import_schedulers,
    make_scheduler,
    read_scheduler_config,
)
from sdtui.diffusion.start import Start, start
from sdtui.diffusion.text import T5Encoder, TextEncoder
from sdtui.request import ComputeUnits, GenerationRequest, Precision
from sdtui.runtime import Array

_PLAIN = GenerationRequest(prompt="anything")
"""Needs the networks that every picture needs."""


def _never() -> bool:
    """Nobody stops it."""
    return False


def _all_memory(_part: Part) -> int:
    """Bytes that no machine has."""
    return 1 << 62


@dataclass(frozen=True)
class Picture:
    """A finished picture and what it takes to make it again.

    ``request`` has its seed, size, model and LoRAs filled in. ``model`` is the model's name,
    ``model_hash`` 64 hex digits, ``runtime`` who ran the denoiser: ``portable bf16``.
    """

    image: Image.Image
    request: GenerationRequest
    seconds: Seconds
    model: str
    model_hash: str
    runtime: str


class Pipeline:
    """A model in memory: made once, asked for many pictures, closed when its memory is wanted.

    Where memory does not hold all its networks they take turns, each loaded when it is run; with
    ``low_memory`` they always do.
    ``watch`` is given each network that was loaded, and may put one in its place that watches it.
    """

    def __init__(
        self,
        bundle: Bundle,
        compute_units: ComputeUnits = "all",
        precision: Precision = "auto",
        watch: Watch = unwatched,
        *,
        low_memory: bool = False,
    ) -> None:
        self.bundle = bundle
        self.compute_units = compute_units
        self.precision = precision
        self._opener = Opener(bundle, compute_units, precision, watch)
        needs = _all_memory if low_memory else self._opener.needs
        self._residence = Residence(self._opener.open, needs)
        self._tokenizers: dict[NetworkRole, Tokenizer] = {}

    @property
    def warm(self) -> bool:
        """Whether networks are in memory."""
        return not self._residence.empty

    def load(self, on_event: OnEvent = ignore, cancelled: Callable[[], bool] = _never) -> None:
        """Bring the networks into memory, unless they are there, and everything else that takes time.

        Raises :class:`NetworkError`, :class:`BundleError`, or :class:`Cancelled` between two of them.
        """
        check(_PLAIN, self.bundle)
        self._invite(_PLAIN, on_event, cancelled)
        import_schedulers()

    def generate(
        self,
        request: GenerationRequest,
        on_event: OnEvent = ignore,
        cancelled: Callable[[], bool] = _never,
    ) -> Picture:
        """Make the one picture of ``request`` (``count`` 1, seed set), loading what is not loaded.

        The same request gives the same pixels. Raises :class:`SdtuiError` of the room where it went
        wrong, or :class:`Cancelled` at the next step after ``cancelled`` says so.
        """
        request, scale = self._complete(request), self.bundle.manifest.scale
        size = picture_size(self.bundle, request)
        first, *second = passes(request, size)
        for each in (first, *second):
            self._refuse(each)
        picture = self._make(first, read_given(first, *size, scale), on_event, cancelled)
        for again in second:
            given = given_again(request, picture.image, picture_size(self.bundle, again), scale)
            finer = self._make(again, given, on_event, cancelled)
            picture = replace(finer, request=request, seconds=picture.seconds + finer.seconds)
        return self._checked(picture, on_event)

    def close(self) -> None:
        """Give the networks' memory back. The next picture loads them again."""
        self._residence.close()

    def _refuse(self, request: GenerationRequest) -> None:
        """Raise the :class:`SdtuiError` of what can be known to fail before networks are loaded."""
        check(request, self.bundle)
        scheduler = self._scheduler(request)()
        if request.image is not None:
            image_timesteps(scheduler, request.steps, request.strength)

    def _make(
        self, request: GenerationRequest, given: Given, on_event: OnEvent, cancelled: Callable[[], bool]
    ) -> Picture:
        """The picture of one pass."""
        size, crew = picture_size(self.bundle, request), self._cast(request)
        clock = _Clock(self._residence)
        self._invite(request, on_event, cancelled)

        on_event(Encoding(crew.note))
        players = [(each, conditioned(each, request, guided=crew.guided)) for each in crew.families]
        walk = legs(request, self._scheduler(request), players)
        text = clock.lap()

        noise = Noise(request.seed or 0, request.rng)
        beginning = self._start(request, given, walk, noise)
        latents = denoise(
            beginning.latents,
            walk,
            Steering(
                guidance_scale=request.guidance_scale,
                tell=self._tell(request, given),
                channels=beginning.channels,
                keeping=beginning.keeping,
            ),
            noise=noise,
            show=self._show(request),
            on_event=on_event,
            cancelled=cancelled,
        )
        runtime = self._resident(denoiser(self.bundle, request), size).runtime
        denoising = clock.lap()

        if cancelled():
            raise Cancelled
        decoder = self._resident("vae_decoder", vae_size(self.bundle, "vae_decoder", request))
        decoder.fetch()
        on_event(Decoding())
        image = decode(latents.numpy(), decoder, self.bundle.manifest)
        decoding = clock.lap()
        return Picture(
            image=image,
            request=request,
            seconds=Seconds(clock.loading, text, denoising, decoding, clock.total),
            model=self.bundle.name,
            model_hash=self.bundle.hash,
            runtime=runtime,
        )

    def _invite(self, request: GenerationRequest, on_event: OnEvent, cancelled: Callable[[], bool]) -> None:
        """Load the first network of ``request``, and others that there is room for; none if that fails."""
        parts = needed(self.bundle, request)
        self._opener.tell(parts, on_event)
        try:
            for part in parts:
                if cancelled():
                    raise Cancelled
                self._residence.invite(part)
            self._residence.present(parts[0])
            preview = previewing(self.bundle, request)
            if preview is not None and self._residence.holds(*parts):
                self._opener.tell((*parts, preview), on_event)
                self._residence.spare(preview)
        except BaseException:
            self._residence.close()
            raise

    def _checked(self, picture: Picture, on_event: OnEvent) -> Picture:
        """The picture, or a black one where the model's safety checker finds something in it."""
        if not is_checked(self.bundle, picture.request):
            return picture
        if not shows_unsafe(picture.image, self._resident("safety_checker")):
            return picture
        on_event(Blocked())
        return replace(picture, image=Image.new("RGB", picture.image.size))

    def _start(self, request: GenerationRequest, given: Given, walk: tuple[Leg, ...], noise: Noise) -> Start:
        manifest, (width, height) = self.bundle.manifest, picture_size(self.bundle, request)
        encoder = self._resident("vae_encoder", vae_size(self.bundle, "vae_encoder", request))
        shape = (1, manifest.latent_channels, height // manifest.scale, width // manifest.scale)
        return start(
            request,
            given,
            walk,
            noise,
            partial(encode, encoder=encoder, manifest=manifest, noise=noise),
            shape,
            inpaints=inpaints(request, self.bundle),
        )

    def _tell(self, request: GenerationRequest, given: Given) -> Tell | None:
        """What ControlNets add to the conditions; zeros from none where the UNet asks for them."""
        name, size = denoiser(self.bundle, request), picture_size(self.bundle, request)
        if name != "control_unet":
            return None
        following = tuple(
            Following(
                self._resident(f"{CONTROLNET_FOLDER}/{control.name}", size),
                levels(picture),
                control.weight,
                control.start,
                control.end,
            )
            for control, picture in zip(request.controls, given.controls, strict=True)
        )
        unet = self._resident(name, size)

        def tell(sample: Array, moment: Moment, told: Conditions) -> Conditions:
            return controlled(following, unet, sample, moment.timestep, told, moment.index, moment.total)

        return tell

    def _show(self, request: GenerationRequest) -> Show:
        """Who makes previews: the bundle's preview decoder where it is in memory, else its colours."""
        colours = show_colours(self.bundle.manifest.preview)
        part = previewing(self.bundle, request)
        if part is None or not self._residence.holds(part):
            return colours
        return Sparing(partial(decoded, decoder=self._residence.present(part)), colours)

    def _cast(self, request: GenerationRequest) -> Cast:
        size = picture_size(self.bundle, request)
        return cast(self.bundle, request, self._clip, self._t5, lambda name: self._resident(name, size))

    def _clip(self, role: NetworkRole) -> TextEncoder:
        if role not in self._tokenizers:
            self._tokenizers[role] = Tokenizer(self.bundle, role)
        return TextEncoder(self._tokenizers[role], self._resident(role))

    def _t5(self) -> T5Encoder:
        _, length = inputs(self.bundle, "text_encoder_3")["input_ids"]
        return T5Encoder(T5Tokenizer(self.bundle, length), self._resident("text_encoder_3"))

    def _resident(self, name: str, size: Size | None = None) -> Resident:
        return self._residence.resident(Part(name, size))

    def _scheduler(self, request: GenerationRequest) -> Callable[[], Any]:
        """What makes a fresh scheduler for ``request``. Raises :class:`DiffusionError`."""
        manifest, (width, height) = self.bundle.manifest, picture_size(self.bundle, request)
        return partial(
            make_scheduler,
            request.scheduler,
            read_scheduler_config(self.bundle),
            request.steps,
            spacing=request.timestep_spacing,
            sigmas=request.sigmas,
            cells=(width // manifest.scale) * (height // manifest.scale),
        )

    def _complete(self, request: GenerationRequest) -> GenerationRequest:
        """``request`` with model, size, scheduler and LoRAs as they are for this model."""
        if request.seed is None or request.count != 1:
            raise ValueError("a pipeline makes one picture of one seed: see GenerationRequest.pictures")
        if (request.compute_units, request.precision) != (self.compute_units, self.precision):
            raise ValueError("the request asks for other compute units or precision than are loaded")
        width, height = picture_size(self.bundle, request)
        return request.replace(
            model=reference(self.bundle),
            width=width,
            height=height,
            scheduler=fitting(request.scheduler, flow=self.bundle.manifest.family == "sd3"),
            loras=request.loras or built_loras(self.bundle),
        )


class _Clock:
    """Seconds between one call and the next, without those that networks were loaded in."""

    def __init__(self, residence: Residence) -> None:
        self._residence = residence
        self._loaded = residence.seconds
        self._began = self._last = time.perf_counter()
        self._load = residence.seconds

    def lap(self) -> float:
        last, self._last = self._last, time.perf_counter()
        loaded, self._load = self._load, self._residence.seconds
        return max(0.0, self._last - last - (self._load - loaded))

    @property
    def loading(self) -> float:
        return self._residence.seconds - self._loaded

    @property
    def total(self) -> float:
        return self._last - self._began
