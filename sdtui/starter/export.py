"""``python -m sdtui.starter.export``: the torch checkpoints of a working folder, as the bundle.

First as a diffusers folder (``diffusers``), which ``sdtui convert`` takes, with a LoRA or a ControlNet if
wanted; then as the bundle ``full`` in float16, but for networks that palettes do no harm; then with the
denoiser's bits mixed as they are needed, which is what ships. With ``--check`` nothing is written: the
shipped networks are measured against the checkpoints.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from PIL import Image
from transformers import CLIPTextModel

from sdtui.bundle import Bundle
from sdtui.bundle.manifest import NetworkRole, Preview
from sdtui.compress.compress import compress
from sdtui.compress.request import CompressionRequest, LeastPsnr
from sdtui.convert.accuracy import measure
from sdtui.convert.encoding.encodings import PaletteBits
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.text import clip_text_encoder
from sdtui.convert.networks.unet import unet
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.pipeline import convert_pipeline
from sdtui.convert.source import Source
from sdtui.starter import MODEL_FOLDER
from sdtui.starter.artwork import Artwork, prepare, resized
from sdtui.starter.captions import Grammar
from sdtui.starter.config import LATENT_SIZE, PIXELS, TOKENS
from sdtui.starter.pool import measure_scale
from sdtui.starter.references import COLUMNS, NAMES, SHEET, THUMBNAIL
from sdtui.starter.sampling import SCHEDULER
from sdtui.starter.scene import SceneSource
from sdtui.starter.tokenizer import read_tokenizer
from sdtui.starter.train_text import load_text_encoder
from sdtui.starter.train_unet import load_unet
from sdtui.starter.train_vae import load_vae

NBITS: dict[NetworkRole, PaletteBits] = {"text_encoder": 8, "vae_decoder": 6, "vae_encoder": 6}
"""Palette bits of the smaller networks: the fewest at which each stays 40 dB close to its original."""
LEAST_PSNR = 40.0
"""How close the denoiser of mixed bits stays to that of the full bundle, dB."""
_WRITTEN_BY_HAND = ("NOTICE", "MODEL.md")


@dataclass(frozen=True)
class Originals:
    """The trained torch modules."""

    text_encoder: CLIPTextModel
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    preview: Preview

    @classmethod
    def read(cls, work: Path, denoiser: str = "unet") -> Originals:
        """From the checkpoints in a working folder; ``few`` is the denoiser of four steps."""
        vae = load_vae(work).to(memory_format=torch.contiguous_format)
        scale = measure_scale(work, vae, prepare(work))
        vae.register_to_config(scaling_factor=scale.factor)
        encoder, _ = load_text_encoder(work)
        unet = load_unet(work, denoiser).to(memory_format=torch.contiguous_format)
        preview = Preview(matrix=scale.preview[:, :-1].tolist(), bias=scale.preview[:, -1].tolist())
        return cls(encoder, unet, vae, preview)

    def write(self, work: Path, folder: Path) -> None:
        """As ``StableDiffusionPipeline.from_pretrained`` reads them, in float32."""
        StableDiffusionPipeline(
            vae=self.vae,
            text_encoder=self.text_encoder,
            tokenizer=read_tokenizer(work / "tokenizer"),
            unet=self.unet,
            scheduler=DDIMScheduler(**SCHEDULER),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(folder)

    def sources(self) -> tuple[Source, ...]:
        """The modules as the converter traces and measures them."""
        config = self.text_encoder.config
        return (
            clip_text_encoder(self.text_encoder, config.bos_token_id, config.eos_token_id, TOKENS),
            unet(self.unet, Shape(LATENT_SIZE, LATENT_SIZE, TOKENS)),
            vae_decoder(self.vae, LATENT_SIZE, LATENT_SIZE),
            vae_encoder(self.vae, PIXELS, PIXELS),
        )


def export(work: Path, output: Path, denoiser: str = "unet") -> None:
    """Convert, compress, write what lies beside the networks, and put the finished folder in place."""
    plain, full, fresh = work / "diffusers", work / "full", work / "export"
    for folder in (plain, full, fresh):
        shutil.rmtree(folder, ignore_errors=True)
    originals = Originals.read(work, denoiser)
    originals.write(work, plain)
    _convert(originals, work, full)
    artwork = prepare(work)
    compress(
        CompressionRequest(
            model=str(full),
            output=str(fresh),
            goal=LeastPsnr(LEAST_PSNR),
            analysis=str(work / "bits.json"),
            curve=str(work / "bits.png"),
            prompts=calibration_prompts(artwork),
        )
    )
    for name in _WRITTEN_BY_HAND:
        shutil.copyfile(MODEL_FOLDER / name, fresh / name)
    write_thumbnails(artwork, fresh)
    _put_in_place(fresh, output)


def _convert(originals: Originals, work: Path, folder: Path) -> None:
    convert_pipeline(
        originals.text_encoder,
        work / "tokenizer",
        originals.unet,
        originals.vae,
        {"_class_name": "DPMSolverMultistepScheduler", **SCHEDULER},
        folder,
        name="starter",
        title="Starter",
        description=(
            f"Draws several hundred things, one or two in a picture of {PIXELS} pixels, in three styles:"
            " “a fox in a meadow”, “a flat cat next to a red apple on a blue background”."
        ),
        licence="MIT",
        width=PIXELS,
        height=PIXELS,
        preview=originals.preview,
        nbits=NBITS,
    )


def calibration_prompts(artwork: Artwork, count: int = 8) -> tuple[str, ...]:
    """What the bits are chosen with: captions of scenes that are trained on."""
    generator = random.Random(8)
    grammar, source = Grammar(artwork.names, artwork.synonyms), SceneSource(len(artwork))
    return tuple(grammar.plain(source.training(generator)).text for _ in range(count))


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
    """The subjects in the first style, 32 px premultiplied RGBA on one sheet, and their names."""
    rows = math.ceil(len(artwork) / COLUMNS)
    sheet = np.zeros((rows, THUMBNAIL, COLUMNS, THUMBNAIL, 4), np.uint8)
    for number in range(len(artwork)):
        row, column = divmod(number, COLUMNS)
        sheet[row, :, column] = resized(artwork.rgba[number, 0], THUMBNAIL)
    pixels = sheet.reshape(rows * THUMBNAIL, COLUMNS * THUMBNAIL, 4)
    Image.fromarray(pixels).save(folder / SHEET, lossless=True, exact=True, method=6)
    (folder / NAMES).write_text(json.dumps(artwork.names, indent=0) + "\n", encoding="utf-8")


def check(work: Path, folder: Path, denoiser: str = "unet") -> bool:
    """Print how close each network of the bundle is to its original; whether all reach 38 dB."""
    bundle = Bundle.open(folder)
    good = True
    for each in Originals.read(work, denoiser).sources():
        ratio = measure(each, bundle.network(each.role))
        print(f"{each.role}: {ratio:.1f} dB")
        good = good and ratio >= 38.0
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"bundle: {size / 1e6:.1f} MB")
    return good


def main() -> int:
    """Read the command line; export, then measure."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.export", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    parser.add_argument("--output", type=Path, default=MODEL_FOLDER, help="folder of the bundle")
    parser.add_argument("--denoiser", choices=("unet", "few"), default="unet", help="which stage's")
    parser.add_argument("--check", action="store_true", help="only measure what is there")
    arguments = parser.parse_args()
    if not arguments.check:
        export(arguments.work, arguments.output, arguments.denoiser)
    return 0 if check(arguments.work, arguments.output, arguments.denoiser) else 1


if __name__ == "__main__":
    raise SystemExit(main())
