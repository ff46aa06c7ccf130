"""Which compute units a network is tried on, and in which order.

Where no address is given, sources are issues: apple/ml-stable-diffusion, MochiDiffusion,
aszc-dev/ComfyUI-CoreMLSuite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdtui.request import ComputeUnits
from sdtui.runtime.apple.macos import MacOS
from sdtui.runtime.loading import Profile

DENOISERS = frozenset({"unet", "control_unet", "refiner", "mmdit", "controlnet"})
_AUTOENCODERS = frozenset({"vae_decoder", "vae_encoder"})
_LARGE = frozenset({"sdxl", "sdxl-refiner", "sd3"})

_LADDERS: dict[ComputeUnits, tuple[ComputeUnits, ...]] = {
    "all": ("all", "cpu-and-gpu", "cpu-only"),
    "cpu-and-ne": ("cpu-and-ne", "cpu-and-gpu", "cpu-only"),
    "cpu-and-gpu": ("cpu-and-gpu", "cpu-only"),
    "cpu-only": ("cpu-only",),
}


@dataclass(frozen=True)
class Blocked:
    """Compute units that a network is known to fail on: ``why``, and the ``source`` that says so."""

    units: ComputeUnits
    why: str
    source: str


@dataclass(frozen=True)
class Choice:
    """``ladder`` is tried from its first to its last rung; ``blocked`` are never on it."""

    ladder: tuple[ComputeUnits, ...]
    blocked: tuple[Blocked, ...]

    def objection(self, requested: ComputeUnits) -> Blocked | None:
        """Why ``requested`` is not tried; None where it is, or where the choice was left to us."""
        if requested == "all":
            return None
        return next((blocked for blocked in self.blocked if blocked.units == requested), None)


@dataclass(frozen=True)
class _BadPair:
    """``units`` fail for networks that ``fits`` is true of."""

    units: tuple[ComputeUnits, ...]
    fits: Callable[[Profile, MacOS], bool]
    why: str
    source: str


_NEURAL_ENGINE: tuple[ComputeUnits, ...] = ("cpu-and-ne", "all")
_GPU: tuple[ComputeUnits, ...] = ("cpu-and-gpu", "all")

_BAD_PAIRS = (
    _BadPair(
        _NEURAL_ENGINE,
        lambda network, _: network.role in DENOISERS and network.family in _LARGE,
        "the Neural Engine's compiler does not come to an end with networks this large",
        "ml-stable-diffusion#242, ComfyUI-CoreMLSuite#33",
    ),
    _BadPair(
        _NEURAL_ENGINE,
        lambda network, _: network.role in _AUTOENCODERS and network.family in _LARGE,
        "it overflows in fp16, all that the Neural Engine computes in",
        "ml-stable-diffusion's own pipelines",
    ),
    _BadPair(
        _NEURAL_ENGINE,
        lambda network, _: network.role in DENOISERS and network.attention == "ORIGINAL",
        "the Neural Engine fails with the ORIGINAL attention",
        "MochiDiffusion#108",
    ),
    _BadPair(
        _NEURAL_ENGINE,
        lambda network, macos: (
            network.role in DENOISERS
            and _splits(network)
            and network.width != network.height
            and () < macos.version < (14,)
        ),
        "pictures that are not square made macOS 13 panic on the Neural Engine",
        "ml-stable-diffusion#69",
    ),
    _BadPair(
        _GPU,
        lambda _, macos: macos.version[:2] == (14, 4) and macos.beta,
        "the GPU computes other pictures on the betas of macOS 14.4",
        "ml-stable-diffusion#313",
    ),
)


def choose_units(profile: Profile | None, requested: ComputeUnits, macos: MacOS) -> Choice:
    """The ladder for a network: ``requested`` first, then what most likely works where it fails.

    ``all`` leaves the first rung to us: the GPU for the ORIGINAL attention, the Neural Engine for a
    split one, as Apple measured them; Core ML chooses where the attention or ``profile`` is unknown.
    The processor is always the last rung and never blocked.
    """
    if profile is None:
        return Choice(_LADDERS[requested], ())
    blocked = tuple(
        Blocked(units, pair.why, pair.source)
        for pair in _BAD_PAIRS
        if pair.fits(profile, macos)
        for units in pair.units
    )
    first = _suited(profile) if requested == "all" else requested
    barred = {each.units for each in blocked}
    return Choice(tuple(units for units in _LADDERS[first] if units not in barred), blocked)


def _suited(profile: Profile) -> ComputeUnits:
    if _splits(profile):
        return "cpu-and-ne"
    return "cpu-and-gpu" if profile.attention == "ORIGINAL" else "all"


def _splits(profile: Profile) -> bool:
    return (profile.attention or "").startswith("SPLIT_EINSUM")
