"""Everything that a request names, opened: the checkpoint with its LoRAs fused, and what is beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdtui import __version__
from sdtui.bundle.manifest import Adapter
from sdtui.conversion import ConversionRequest
from sdtui.convert.checkpoint.checkpoint import Checkpoint, Progress, open_checkpoint, open_component, silent
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.checkpoint.fusing import fuse, refuse_broken
from sdtui.convert.plan import NetworkPlan

REFINER = "refiner"
PREVIEW_DECODER = "preview_decoder"


@dataclass(frozen=True)
class Opened:
    """``controlnets`` are by the name that requests will use, ``adapters`` what was fused."""

    checkpoint: Checkpoint
    controlnets: Mapping[str, tuple[str, Component]]
    refiner: Component | None
    vae: Component | None
    preview_decoder: Component | None
    adapters: tuple[Adapter, ...]

    def component(self, network: NetworkPlan) -> Component:
        """The torch side of a network. Raises :class:`ConversionError` when there is none."""
        if network.name is not None:
            return self.controlnets[network.name][1]
        if network.component == REFINER and self.refiner is not None:
            return self.refiner
        if network.component == PREVIEW_DECODER and self.preview_decoder is not None:
            return self.preview_decoder
        return self.part(network.component)

    def part(self, name: str) -> Component:
        """A component of the checkpoint, or the VAE that takes its place."""
        return self.vae if name == "vae" and self.vae is not None else self.checkpoint.component(name)

    def identity(self, request: ConversionRequest) -> str:
        """Hex digits that change with whatever decides the bytes of the bundle."""
        import coremltools
        import diffusers
        import torch
        import transformers

        parts = [*self.checkpoint.parts.values(), self.refiner, self.vae, self.preview_decoder]
        parts += [component for _, component in self.controlnets.values()]
        versions = [
            __version__,
            *(str(lib.__version__) for lib in (coremltools, diffusers, torch, transformers)),
        ]
        described = (request, versions, [part.fingerprint() for part in parts if part], self.adapters)
        return hashlib.sha256(msgspec.json.encode(described)).hexdigest()


def open_all(request: ConversionRequest, workspace: Path, progress: Progress = silent) -> Opened:
    """Open what ``request`` names; what has to be unpacked goes to ``workspace`` and is kept there.

    Raises :class:`ConversionError`.
    """
    refuse_broken(request.loras, request.embeddings)
    opened = open_checkpoint(request.source, workspace, progress)
    checkpoint, adapters = fuse(opened, request.loras, request.embeddings, workspace, progress)
    return Opened(
        checkpoint=checkpoint,
        controlnets={
            name: (source, open_component(source, workspace, "controlnet", progress))
            for name, source in zip(_names(request.controlnets), request.controlnets, strict=True)
        },
        refiner=open_component(request.refiner, workspace, "unet", progress) if request.refiner else None,
        vae=open_component(request.vae, workspace, "vae", progress) if request.vae else None,
        preview_decoder=open_component(request.preview_decoder, workspace, "preview_decoder", progress)
        if request.preview_decoder
        else None,
        adapters=tuple(adapters),
    )


def _names(sources: tuple[str, ...]) -> list[str]:
    """What each ControlNet is called: the last part of where it is from, with a number where two agree."""
    names: list[str] = []
    for source in sources:
        name = stem = Path(source).name.removesuffix(".safetensors")
        while name in names:
            name = f"{stem}-{sum(known.startswith(stem) for known in names) + 1}"
        names.append(name)
    return names
