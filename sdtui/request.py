"""GenerationRequest: the value that makes a picture.

The prompt editor builds it, the queue holds it, the engine receives it, the history stores it and
the PNG embeds it. Sending the same value again makes the same picture.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterator
from typing import Literal, get_args

import msgspec

from sdtui.errors import SdtuiError

Scheduler = Literal["pndm", "ddim", "dpm++2m", "dpm++2m-karras", "euler", "euler-a"]
RandomSource = Literal["numpy", "torch"]
ComputeUnits = Literal["all", "cpu-only", "cpu-and-gpu", "cpu-and-ne"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]

SCHEDULERS: tuple[Scheduler, ...] = get_args(Scheduler)
SEED_LIMIT = 2**32
MAX_STEPS = 1000
MAX_COUNT = 1000


class RequestError(SdtuiError):
    """A value in a request is outside what it may be; ``field`` names it."""

    def __init__(self, field: str, why: str, remedy: str) -> None:
        super().__init__(f"{field.replace('_', ' ')} is not valid", why, remedy)
        self.field = field


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything that decides the pixels of a picture, and nothing else.

    ``seed`` is None until the request is submitted; :meth:`seeded` draws one. ``width`` and
    ``height`` are pixels, None for the model's own size. ``model`` is a name or a path, None for
    the one in the settings. Raises :class:`RequestError` when a value is out of range.
    """

    prompt: str
    negative_prompt: str = ""
    model: str | None = None
    steps: int = 20
    guidance_scale: float = 7.5
    seed: int | None = None
    count: int = 1
    scheduler: Scheduler = "dpm++2m"
    rng: RandomSource = "torch"
    width: int | None = None
    height: int | None = None
    compute_units: ComputeUnits = "all"
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise RequestError("prompt", "it is empty", "write what the picture should show")
        for field in ("prompt", "negative_prompt", "model"):
            if not _is_text(getattr(self, field) or ""):
                raise RequestError(field, "it holds bytes that are not text", "write it in UTF-8")
        if not 1 <= self.steps <= MAX_STEPS:
            raise RequestError("steps", f"{self.steps} is outside 1 to {MAX_STEPS}", "20 is a good start")
        if not (math.isfinite(self.guidance_scale) and 0 <= self.guidance_scale <= 100):
            raise RequestError(
                "guidance_scale", f"{self.guidance_scale} is outside 0 to 100", "7.5 is a good start"
            )
        if self.seed is not None and not 0 <= self.seed < SEED_LIMIT:
            raise RequestError("seed", f"{self.seed} is outside 0 to {SEED_LIMIT - 1}", "choose one inside")
        if not 1 <= self.count <= MAX_COUNT:
            raise RequestError("count", f"{self.count} is outside 1 to {MAX_COUNT}", "choose one inside")
        if self.scheduler not in SCHEDULERS:
            raise RequestError(
                "scheduler", f"{self.scheduler!r} is unknown", f"choose one of {', '.join(SCHEDULERS)}"
            )
        if self.rng not in get_args(RandomSource):
            raise RequestError("rng", f"{self.rng!r} is unknown", "choose numpy or torch")
        if self.compute_units not in get_args(ComputeUnits):
            raise RequestError(
                "compute_units",
                f"{self.compute_units!r} is unknown",
                f"choose one of {', '.join(get_args(ComputeUnits))}",
            )
        if self.precision not in get_args(Precision):
            raise RequestError(
                "precision",
                f"{self.precision!r} is unknown",
                f"choose one of {', '.join(get_args(Precision))}",
            )
        for field in ("width", "height"):
            pixels = getattr(self, field)
            if pixels is not None and (pixels < 8 or pixels % 8):
                raise RequestError(field, f"{pixels} is not a positive multiple of 8", "choose one that is")

    def seeded(self) -> GenerationRequest:
        """This request with a seed: its own, or one drawn from the system's randomness."""
        return self if self.seed is not None else self.replace(seed=secrets.randbelow(SEED_LIMIT))

    def replace(self, **changes: object) -> GenerationRequest:
        """A copy with some fields changed, validated again."""
        return msgspec.structs.replace(self, **changes)

    def pictures(self) -> Iterator[GenerationRequest]:
        """One request for each of the ``count`` pictures: ``count`` 1 and consecutive seeds."""
        first = self.seeded()
        assert first.seed is not None
        for index in range(self.count):
            yield first.replace(seed=(first.seed + index) % SEED_LIMIT, count=1)

    def to_json(self) -> str:
        """The request as JSON text; :meth:`from_json` reads it back to an equal value."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> GenerationRequest:
        """Read what :meth:`to_json` wrote. Raises :class:`RequestError` on anything else."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RequestError("request", str(error), "send a request as sdtui writes it") from error


def _is_text(value: str) -> bool:
    """Whether UTF-8 can say it: an argument with undecodable bytes arrives as lone surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
