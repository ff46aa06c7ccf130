"""What a conversion will do, network by network. Light: it travels between processes as JSON."""

from __future__ import annotations

from typing import Literal

import msgspec

from sdtui.bundle.bundle import CONTROLNET_FOLDER
from sdtui.bundle.manifest import STEMS, Manifest, NetworkEntry, NetworkRole, Preview
from sdtui.conversion import Forecast, NetworkReport

Size = tuple[int, int]
"""Width and height in pixels."""

StageName = Literal["tracing", "storing", "comparing"]
STAGES: tuple[StageName, ...] = ("tracing", "storing", "comparing")

FIRST_FUNCTION = "main"


class NetworkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One torch module and the networks made of it, which share its weights; one process makes them.

    ``component`` is its name in the checkpoint; ``source`` where it is read from instead. ``name`` is
    what a ControlNet is called. ``sizes`` are pixels, the bundle's own first. ``halves`` says that it
    is cut in two, ``seconds`` what each of :data:`STAGES` may take.
    """

    roles: tuple[NetworkRole, ...]
    component: str
    source: str | None = None
    name: str | None = None
    sizes: tuple[Size, ...]
    halves: bool = False
    compressed: bool = False
    parameters: int
    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)

    @property
    def key(self) -> str:
        """What it is called in the report: its first role, or ``controlnet/NAME``."""
        return f"{CONTROLNET_FOLDER}/{self.name}" if self.name else self.roles[0]

    def stem(self, role: NetworkRole) -> str:
        """The path of the package of ``role``, without its ending."""
        if self.name:
            return f"{CONTROLNET_FOLDER}/{controlnet_stem(self.name)}"
        return STEMS[role]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A whole conversion. ``identity`` changes with whatever decides the bytes of the bundle.

    ``manifest`` is that of the bundle before it has networks.
    """

    identity: str
    manifest: Manifest
    networks: tuple[NetworkPlan, ...]
    forecast: Forecast
    warnings: tuple[str, ...] = ()

    def network(self, key: str) -> NetworkPlan:
        """The network called ``key``."""
        return next(network for network in self.networks if network.key == key)


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What a process made of one :class:`NetworkPlan`: entries of the manifest, by role, and reports.

    ``preview`` is what a VAE's latents look like, None for other networks.
    """

    entries: dict[NetworkRole, NetworkEntry]
    reports: list[NetworkReport]
    preview: Preview | None = None


class Step(msgspec.Struct, frozen=True):
    """What a process that works on a conversion is to make in ``workspace``: its plan, or a network."""

    workspace: str
    key: str | None


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """A process came ``fraction`` (0 to 1) far in a stage."""

    stage: str
    fraction: float


def label(size: Size) -> str:
    """A size as people and manifests write it: ``512x768``."""
    return f"{size[0]}x{size[1]}"


def function_name(size: Size, sizes: tuple[Size, ...]) -> str:
    """The function of a multifunction package that takes pictures of ``size``."""
    return FIRST_FUNCTION if size == sizes[0] else f"size_{label(size)}"


def controlnet_stem(name: str) -> str:
    """The file name of a ControlNet in Apple's bundles: words joined, each with a capital.

    ``lllyasviel/sd-controlnet-mlsd`` is ``LllyasvielSdControlnetMlsd``.
    """
    return "".join(part.title() for part in name.replace("/", "_").replace("-", "_").split("_"))
