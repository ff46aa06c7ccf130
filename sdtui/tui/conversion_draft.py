"""A conversion while it is being written: what the dialog changes, as the person wrote it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import msgspec

from sdtui.conversion import (
    PALETTE_BITS,
    Attention,
    ConversionRequest,
    Target,
    parse_fused,
    parse_parts,
    parse_size,
)

ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
TARGETS: tuple[Target, ...] = get_args(Target)
BITS: tuple[int, ...] = (16, *reversed(PALETTE_BITS))
"""Bits for each weight; at 16 they are as they were."""


class ConversionDraft(msgspec.Struct, frozen=True, kw_only=True):
    """A conversion that may still be incomplete. Lists are written with commas between their items.

    An empty ``output`` is named after the source, a bare name lies in the models folder.
    """

    source: str = ""
    output: str = ""
    attention: Attention = "SPLIT_EINSUM"
    target: Target = "macOS13"
    bits: int = 16
    sizes: str = ""
    loras: str = ""
    networks: str = ""
    controlnets: str = ""
    refiner: str = ""
    vae: str = ""

    def replace(self, **changes: object) -> ConversionDraft:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    @property
    def name(self) -> str:
        """What the bundle is called; empty as long as nothing tells it."""
        return Path(self.output.strip()).name or Path(self.source.strip()).stem

    def request(self, models: Path) -> ConversionRequest:
        """The request as it stands. Raises :class:`~sdtui.conversion.ConversionRequestError`."""
        output = Path(self.output.strip() or self.name).expanduser()
        return ConversionRequest(
            source=self.source.strip(),
            output=str(output if "/" in self.output else models / output),
            attention=self.attention,
            target=self.target,
            nbits=None if self.bits == 16 else self.bits,
            sizes=tuple(map(parse_size, _items(self.sizes))),
            loras=tuple(map(parse_fused, _items(self.loras))),
            networks=parse_parts(self.networks) or None,
            controlnets=tuple(_items(self.controlnets)),
            # Without it, the UNet would not take what the ControlNets add.
            unet_support_controlnet=bool(_items(self.controlnets)),
            refiner=self.refiner.strip() or None,
            vae=self.vae.strip() or None,
        )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]
