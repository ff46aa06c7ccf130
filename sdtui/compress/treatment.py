"""How the networks of a bundle are to be stored, and which of them bear it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkRole
from sdtui.compress.analysis import Bench
from sdtui.compress.calibration import PROMPTS, Calibration, record
from sdtui.compress.layers import LayeredNetwork
from sdtui.compress.progress import OnPart
from sdtui.compress.request import CompressionError, CompressionRequest
from sdtui.convert.encoding.encodings import Encoding, Linear, Palette
from sdtui.convert.network import Storage

DENOISERS: tuple[NetworkRole, ...] = ("unet", "mmdit")
"""Of these a bundle has one; recipes are measured on it, and it holds most of the weights."""

UNIFORM: tuple[str, ...] = (
    *DENOISERS,
    "control_unet",
    "refiner",
    "text_encoder",
    "text_encoder_2",
    "text_encoder_3",
)
"""What bears the same few bits everywhere; so do ControlNets. VAEs do not."""


@dataclass(frozen=True)
class Treatment:
    """How a network is stored: ``default`` for each weight that is not in ``exceptions``, by name.

    ``steps`` are those of the inputs that are rounded, by the layer's result; ``kind`` is the word for
    it all in the manifest, ``predicted`` the PSNR in dB that was promised.
    """

    kind: str
    default: Palette | Linear | None = None
    exceptions: Mapping[str, Encoding] = field(default_factory=dict)
    steps: Mapping[str, float] = field(default_factory=dict)
    predicted: float | None = None

    @property
    def storage(self) -> Storage:
        return Storage(compression=self.default, exceptions=self.exceptions)


def denoiser(bundle: Bundle) -> NetworkRole:
    """The network that recipes are measured on. Raises :class:`CompressionError`."""
    for role in DENOISERS:
        entry = bundle.manifest.networks.get(role)
        if entry is not None and entry.second_half is None:
            return role
    raise CompressionError(
        f"no recipe can be found for {bundle.name}",
        "its denoiser is cut in two or missing",
        "give a whole number of --bits, or the bundle before it was cut",
    )


def open_bench(
    bundle: Bundle,
    role: NetworkRole,
    calibration: Calibration,
    on_part: OnPart,
    cancelled: Callable[[], bool],
) -> Bench:
    """A network of a bundle and real inputs to try it with."""
    on_part("drawing pictures", 0.0)
    samples = record(bundle, [role], calibration, cancelled)[role]
    if not samples:
        raise CompressionError(
            f"no recipe can be found for {bundle.name}",
            f"pictures are made without its {role.replace('_', ' ')}",
            "give a whole number of --bits",
        )
    return Bench(LayeredNetwork(bundle.network(role)), samples)


def calibration_of(request: CompressionRequest) -> Calibration:
    return Calibration(prompts=request.prompts or PROMPTS, samples=request.samples)
