"""GenerationRequest: the value that makes a picture.

The prompt editor builds it, the queue holds it, the engine receives it, the history stores it and
the PNG embeds it. Sending the same value again makes the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from random import SystemRandom
from typing import Any, Literal, get_args

import msgspec

from sdtui.errors import SdtuiError

Scheduler = Literal[
    "pndm",
    "ddim",
    "ddpm",
    "dpm++2m",
    "dpm++2m-karras",
    "dpm++2m-sde",
    "dpm++2m-sde-karras",
    "dpm++2s",
    "dpm++sde",
    "dpm2",
    "dpm2-a",
    "heun",
    "lms",
    "euler",
    "euler-a",
    "euler-karras",
    "unipc",
    "deis",
    "lcm",
    "tcd",
    "flow-euler",
    "flow-heun",
    "flow-dpm++2m",
    "flow-unipc",
    "flow-lcm",
]
"""Names people know. ``sdtui.diffusion.schedulers`` says what each is; ``flow-`` ones are for SD3."""
TimestepSpacing = Literal["leading", "linspace", "trailing"]
Sigmas = Literal["karras", "exponential", "beta"]
RandomSource = Literal["numpy", "torch", "nvidia"]
ComputeUnits = Literal["all", "cpu-only", "cpu-and-gpu", "cpu-and-ne"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

SCHEDULERS: tuple[Scheduler, ...] = get_args(Scheduler)
SEED_LIMIT = 2**32
MAX_STEPS = 1000
MAX_COUNT = 1000
MAX_UPSCALE = 8
MAX_OUTPAINT = 8192
"""Pixels added at one side."""


class RequestError(SdtuiError):
    """A value in a request is outside what it may be; ``field`` names it."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field.replace('_', ' ')} is not valid", why, remedy)
        self.field = field


class Control(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ControlNet and the picture that it follows.

    ``name`` is the ControlNet's in the bundle, ``image`` a path. Its residuals are multiplied by
    ``weight``, and count from the fraction ``start`` of the steps to the fraction ``end``.
    """

    name: str
    image: str
    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        _require_text("controls", self.name)
        _require_text("controls", self.image)
        _require_range("controls", self.weight, 0, 10, "1 is its full effect")
        _require_range("controls", self.start, 0, 1, "0 is the first step")
        _require_range("controls", self.end, 0, 1, "1 is the last step")
        if self.start >= self.end:
            raise RequestError("controls", f"{self.name} ends before it starts", "0 to 1 is every step")


class LoRA(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LoRA that the model was built with; ``weight`` is 1 for its full effect."""

    name: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _require_text("loras", self.name)
        _require_range("loras", self.weight, -10, 10, "1 is its full effect")


class Choices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a person chooses about a picture: every field of a request, valid or not yet.

    ``width`` and ``height`` are pixels of the first picture, before ``upscale``; None for the model's
    own size. ``model`` is a name or a path, None for the one in the settings. ``timestep_spacing`` and
    ``sigmas`` are None for the scheduler's own.

    ``image`` is the path of a picture to start from: ``strength`` says how much of it is made anew,
    ``mask`` where (a picture's path; white is painted), ``outpaint`` how many pixels are added to it
    (left, top, right, bottom). Latents start from the noise of ``seed``, turned by
    ``variation_strength`` towards that of ``variation_seed``. The prompt's embeddings go by ``blend``
    towards those of ``blend_prompt``. ``upscale`` above 1 makes the picture again at that many times
    its size, from noise of ``upscale_strength``. ``clip_skip`` is how many of the text encoder's last
    layers are left out. The refiner takes over after the fraction ``refiner_start`` of the steps,
    where the model has one. ``loras`` are those the model was built with. ``tiled`` runs the VAE in
    tiles, for less memory.
    """

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    steps: int = 20
    guidance_scale: float = 7.5
    seed: int | None = None
    count: int = 1
    scheduler: Scheduler = "dpm++2m"
    timestep_spacing: TimestepSpacing | None = None
    sigmas: Sigmas | None = None
    rng: RandomSource = "torch"
    width: int | None = None
    height: int | None = None
    image: str | None = None
    strength: float = 0.75
    mask: str | None = None
    outpaint: tuple[int, int, int, int] | None = None
    controls: tuple[Control, ...] = ()
    variation_seed: int | None = None
    variation_strength: float = 0.0
    blend_prompt: str | None = None
    blend: float = 0.0
    upscale: float = 1.0
    upscale_strength: float = 0.5
    clip_skip: int = 0
    refiner_start: float = 0.8
    loras: tuple[LoRA, ...] = ()
    safety_checker: bool = True
    tiled: bool = False
    compute_units: ComputeUnits = "all"
    precision: Precision = "auto"


class GenerationRequest(Choices, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the pixels of a picture, and what its prompt was drawn from.

    ``seed`` is None until the request is submitted; :meth:`seeded` draws one. ``template`` is the prompt
    as it was written, with choices and wildcards, where ``prompt`` is what became of it; it is only
    remembered. Raises :class:`RequestError` when a value is out of range.
    """

    template: str | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise RequestError("prompt", "it is empty", "write what the picture should show")
        for field in _TEXTS:
            _require_text(field, getattr(self, field) or "")
        for field, (low, high, remedy) in _RANGES.items():
            if (number := getattr(self, field)) is not None:
                _require_range(field, number, low, high, remedy)
        for field, names in _NAMES.items():
            if (name := getattr(self, field)) is not None and name not in names:
                raise RequestError(field, f"{name!r} is unknown", f"choose one of {', '.join(names)}")
        for field in ("width", "height"):
            pixels = getattr(self, field)
            if pixels is not None and (pixels < 8 or pixels % 8):
                raise RequestError(field, f"{pixels} is not a positive multiple of 8", "choose one that is")
        for pixels in self.outpaint or ():
            _require_range("outpaint", pixels, 0, MAX_OUTPAINT, "give pixels for left, top, right, bottom")

    def seeded(self) -> GenerationRequest:
        """This request with a seed: its own, or one drawn from the system's randomness."""
        return self if self.seed is not None else self.replace(seed=SystemRandom().randrange(SEED_LIMIT))

    def replace(self, **changes: object) -> GenerationRequest:
        """A copy with some fields changed, validated again."""
        return msgspec.structs.replace(self, **changes)

    def pictures(self) -> Iterator[GenerationRequest]:
        """One request for each of the ``count`` pictures: ``count`` 1 and consecutive seeds.

        Variations of one seed keep it: their variation seeds are consecutive.
        """
        first = self.seeded()
        varied = first.variation_seed is not None and first.variation_strength > 0
        field = "variation_seed" if varied else "seed"
        for index in range(self.count):
            yield first.replace(**{field: (getattr(first, field) + index) % SEED_LIMIT}, count=1)

    def to_json(self) -> str:
        """The request as JSON text; :meth:`from_json` reads it back to an equal value.

        It holds defaults too: they may be others in the version that reads it.
        """
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> GenerationRequest:
        """Read what :meth:`to_json` wrote. Raises :class:`RequestError` on anything else."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError("request", str(error), "send a request as sdtui writes it") from error


_TEXTS = ("prompt", "template", "negative_prompt", "blend_prompt", "model", "image", "mask")

_RANGES: dict[str, tuple[float, float, str]] = {
    "steps": (1, MAX_STEPS, "20 is a good start"),
    "guidance_scale": (0, 100, "7.5 is a good start"),
    "seed": (0, SEED_LIMIT - 1, "choose one inside"),
    "count": (1, MAX_COUNT, "choose one inside"),
    "strength": (0, 1, "0.75 is a good start"),
    "variation_seed": (0, SEED_LIMIT - 1, "choose one inside"),
    "variation_strength": (0, 1, "0.1 is a small variation"),
    "blend": (0, 1, "0.5 is half way"),
    "upscale": (1, MAX_UPSCALE, "2 is twice the width and height"),
    "upscale_strength": (0, 1, "0.5 is a good start"),
    "clip_skip": (0, 11, "0 leaves no layer out"),
    "refiner_start": (0, 1, "0.8 is a good start"),
}
"""The least and the greatest that a field may be, and advice."""

_NAMES: dict[str, tuple[Any, ...]] = {
    "scheduler": SCHEDULERS,
    "timestep_spacing": get_args(TimestepSpacing),
    "sigmas": get_args(Sigmas),
    "rng": get_args(RandomSource),
    "compute_units": get_args(ComputeUnits),
    "precision": get_args(Precision),
}


def _require_range(field: str, number: float, low: float, high: float, remedy: str) -> None:
    if not (math.isfinite(number) and low <= number <= high):
        raise RequestError(field, f"{number} is outside {low} to {high}", remedy)


def _require_text(field: str, value: str) -> None:
    """Refuse what UTF-8 cannot say: an argument with undecodable bytes arrives as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise RequestError(field, "it holds bytes that are not text", "write it in UTF-8") from error
