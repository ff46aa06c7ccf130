"""``python -m sdtui.starter.export``: the torch checkpoints of a working folder, as the bundle.

With ``--check`` nothing is written: the shipped networks are measured against the checkpoints.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from PIL import Image
from torch.nn import functional
from transformers import CLIPTextModel

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkRole, Preview
from sdtui.convert.accuracy import measure
from sdtui.convert.encoding.encodings import PaletteBits
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.text import clip_text_encoder
from sdtui.convert.networks.unet import unet
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.pipeline import convert_pipeline
from sdtui.convert.source import Source
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.artwork import Artwork, prepare
from sdtui.starter.checkpoint import load
from sdtui.starter.config import (
    LATENT_SIZE,
    PIXELS,
    TOKENS,
    ArtworkConfig,
    TextConfig,
    UnetConfig,
)
from sdtui.starter.evaluate import COLUMNS, NAMES, SHEET, THUMBNAIL
from sdtui.starter.latents import load_vae, prepare_latents
from sdtui.starter.networks import build_unet
from sdtui.starter.train_text import load_text_encoder
from sdtui.starter.trial import SCHEDULER

NBITS: dict[NetworkRole, PaletteBits] = {
    "text_encoder": 8,
    "unet": 8,
    "vae_decoder": 6,
    "vae_encoder": 6,
}
"""Palette bits of each network: the fewest at which it stays 40 dB close to its torch original."""
_WRITTEN_BY_HAND = ("NOTICE", "MODEL.md")


@dataclass(frozen=True)
class Originals:
    """The trained torch modules."""

    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    preview: Preview

    @classmethod
    def read(cls, work: Path) -> Originals:
        """From the checkpoints in a working folder."""
        pictures = prepare_latents(work)
        state = load(work / "unet.pt")
        if state is None:
            raise FileNotFoundError(f"{work / 'unet.pt'}: train the unet stage first")
        unet = build_unet(UnetConfig(), TextConfig())
        unet.load_state_dict(state["average"])
        vae = load_vae(work).to(memory_format=torch.contiguous_format)
        vae.register_to_config(scaling_factor=pictures.scaling_factor)
        encoder, _ = load_text_encoder(work)
        preview = Preview(matrix=pictures.preview[:, :-1].tolist(), bias=pictures.preview[:, -1].tolist())
        return cls(encoder, unet.eval(), vae, preview)

    def sources(self) -> tuple[Source, ...]:
        """The modules as the converter traces and measures them."""
        config = self.text_encoder.config
        return (
            clip_text_encoder(self.text_encoder, config.bos_token_id, config.eos_token_id, TOKENS),
            unet(self.unet, Shape(LATENT_SIZE, LATENT_SIZE, TOKENS)),
            vae_decoder(self.vae, LATENT_SIZE, LATENT_SIZE),
            vae_encoder(self.vae, PIXELS, PIXELS),
        )


def export(work: Path, output: Path) -> None:
    """Convert, write what lies beside the networks, and let the finished folder take its place."""
    originals = Originals.read(work)
    fresh = work / "export"
    shutil.rmtree(fresh, ignore_errors=True)
    convert_pipeline(
        originals.text_encoder,
        work / "tokenizer",
        originals.unet,
        originals.vae,
        {"_class_name": "DPMSolverMultistepScheduler", **SCHEDULER},
        fresh,
        name="starter",
        title="Starter",
        description=(
            "Draws one of several hundred things on a coloured background, 64 pixels wide:"
            " “red apple on a blue background”."
        ),
        licence="MIT",
        width=PIXELS,
        height=PIXELS,
        preview=originals.preview,
        nbits=NBITS,
    )
    for name in _WRITTEN_BY_HAND:
        shutil.copyfile(MODEL_FOLDER / name, fresh / name)
    write_thumbnails(prepare(work, ArtworkConfig()), fresh)
    _put_in_place(fresh, output)


def _put_in_place(fresh: Path, output: Path) -> None:
    """Let ``output`` be a copy of ``fresh``; it is never half there."""
    beside = output.with_name(f".{output.name}")
    for leftover in (beside / "new", beside / "old"):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(fresh, beside / "new")
    if output.exists():
        output.rename(beside / "old")
    (beside / "new").rename(output)
    shutil.rmtree(beside)


def write_thumbnails(artwork: Artwork, folder: Path) -> None:
    """The subjects as drawn, 32 px premultiplied RGBA on one sheet, and their names."""
    small = functional.avg_pool2d(artwork.rgba[:, 0].float(), PIXELS // THUMBNAIL)
    rows = math.ceil(len(small) / COLUMNS)
    sheet = np.zeros((rows, COLUMNS, 4, THUMBNAIL, THUMBNAIL), np.uint8)
    sheet.reshape(-1, 4, THUMBNAIL, THUMBNAIL)[: len(small)] = small.round().byte().numpy()
    pixels = sheet.transpose(0, 3, 1, 4, 2).reshape(rows * THUMBNAIL, COLUMNS * THUMBNAIL, 4)
    Image.fromarray(pixels).save(folder / SHEET, lossless=True, exact=True, method=6)
    (folder / NAMES).write_text(json.dumps(artwork.names, indent=0) + "\n", encoding="utf-8")


def check(work: Path, folder: Path) -> bool:
    """Print how close each network of the bundle is to its original; whether all reach 40 dB."""
    bundle = Bundle.open(folder)
    good = True
    for each in Originals.read(work).sources():
        ratio = measure(each, bundle.network(each.role))
        bits = bundle.manifest.networks[each.role].nbits
        print(f"{each.role}: {ratio:.1f} dB, {bits or 16} bits")
        good = good and ratio >= 40.0
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"bundle: {size / 1e6:.1f} MB")
    return good


def main() -> int:
    """Read the command line; export, then measure."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.export", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    parser.add_argument("--output", type=Path, default=MODEL_FOLDER, help="folder of the bundle")
    parser.add_argument("--check", action="store_true", help="only measure what is there")
    arguments = parser.parse_args()
    if not arguments.check:
        export(arguments.work, arguments.output)
    return 0 if check(arguments.work, arguments.output) else 1


if __name__ == "__main__":
    raise SystemExit(main())
