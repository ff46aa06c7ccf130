"""Checkpoints of every family become bundles whose networks do what torch does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import verify
from sdtui.conversion import ConversionReport, ConversionRequest, Fused
from sdtui.convert.accuracy import psnr
from sdtui.convert.conversion import convert
from sdtui.convert.source import ConversionError
from sdtui.convert.step import run_here
from sdtui.runtime import load_network
from tests.convert import checkpoints
from tests.convert.architectures import tiny_autoencoder
from tests.convert.test_checkpoint_lora import kohya
from tests.tiny import write_tokenizer


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    vocabulary = len(write_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    return {
        family: checkpoints.save_folder(
            tmp_path_factory.mktemp(family) / "model", family, checkpoints.networks(family, vocabulary)
        )
        for family in ("sd", "sdxl", "sdxl-refiner", "sd3")
    }


def made(folder: Path, output: Path, **wanted: Any) -> tuple[Bundle, ConversionReport]:
    request = ConversionRequest(source=str(folder), output=str(output), **wanted)
    report = convert(request, lambda _: None, run=run_here)
    bundle = Bundle.open(output)
    verify(bundle)
    return bundle, report


def test_sdxl_with_its_refiner(folders: dict[str, Path], tmp_path: Path) -> None:
    bundle, report = made(
        folders["sdxl"],
        tmp_path / "xl",
        refiner=str(folders["sdxl-refiner"]),
        networks=("text-encoder", "unet", "vae-decoder"),
    )
    assert bundle.manifest.family == "sdxl"
    assert set(bundle.manifest.networks) == {
        "text_encoder",
        "text_encoder_2",
        "unet",
        "refiner",
        "vae_decoder",
    }
    assert bundle.manifest.scaling_factor == 0.13025
    assert faithful(report)
    decoder = next(each for each in report.networks if each.network == "vae_decoder")
    assert decoder.psnr is not None
    assert decoder.psnr >= 90, "SDXL's VAE overflows float16: it stays in float32"


def test_a_tiny_decoder_for_previews(folders: dict[str, Path], tmp_path: Path) -> None:
    tiny = tiny_autoencoder(levels=2, scaling_factor=0.5, shift_factor=0.1)
    tiny.save_pretrained(tmp_path / "taesd")
    bundle, report = made(
        folders["sd"],
        tmp_path / "previewed",
        networks=("vae-encoder",),
        sizes=((16, 16), (24, 16)),
        preview_decoder=str(tmp_path / "taesd"),
    )
    assert set(bundle.manifest.networks) == {"vae_encoder", "preview_decoder"}
    entry = bundle.manifest.networks["preview_decoder"]
    assert (entry.file, entry.sizes) == (
        "PreviewDecoder.mlpackage",
        {"24x16": "PreviewDecoder_24x16.mlpackage"},
    )
    assert faithful(report)
    latents = torch.randn(1, 4, 8, 12, generator=torch.Generator().manual_seed(0))
    network = load_network(bundle.path / entry.sizes["24x16"], "cpu-only", "fp32")
    image = network.predict({"z": latents.numpy()})["image"]
    network.close()
    with torch.no_grad():  # as diffusers' pipelines do at the end
        expected = tiny.decode(latents / 0.5 + 0.1).sample
    assert psnr(expected.numpy(), image) >= 60


def test_a_tiny_decoder_of_another_model_is_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    for number, wrong in enumerate(
        (tiny_autoencoder(levels=2, latent_channels=16), tiny_autoencoder(levels=3))
    ):
        wrong.save_pretrained(tmp_path / f"{number}")
        with pytest.raises(ConversionError, match="not made for latents of 4 channels and 2 x 2 pixels"):
            made(folders["sd"], tmp_path / "bundle", preview_decoder=str(tmp_path / f"{number}"))
    with pytest.raises(ConversionError, match="where a AutoencoderTiny is wanted"):
        made(folders["sd"], tmp_path / "bundle", preview_decoder=str(folders["sd"] / "vae"))


def test_sd3_without_t5_unless_asked(folders: dict[str, Path], tmp_path: Path) -> None:
    bundle, report = made(folders["sd3"], tmp_path / "three", networks=("text-encoder", "unet"))
    assert set(bundle.manifest.networks) == {"text_encoder", "text_encoder_2", "mmdit"}
    assert (bundle.manifest.family, bundle.manifest.shift_factor) == ("sd3", 0.0609)
    assert faithful(report)


def test_a_lora_is_fused_and_remembered(folders: dict[str, Path], tmp_path: Path) -> None:
    vocabulary = len(write_tokenizer(tmp_path / "words"))
    lora = kohya(
        tmp_path / "style.safetensors", checkpoints.networks("sd", vocabulary), rank=2, original=False, seed=3
    )
    bundle, report = made(
        folders["sd"],
        tmp_path / "styled",
        loras=(Fused(str(lora), 0.7),),
        networks=("text-encoder", "unet"),
        attention="ORIGINAL",
    )
    plain, _ = made(folders["sd"], tmp_path / "plain", networks=("unet",), attention="ORIGINAL")
    assert faithful(report)
    assert [(each.kind, each.name, each.weight) for each in bundle.manifest.adapters] == [
        ("lora", "style", 0.7)
    ]
    assert bundle.manifest.networks["unet"].sha256 != plain.manifest.networks["unet"].sha256


def faithful(report: ConversionReport) -> bool:
    """Whether each network is above the threshold that float16 should reach."""
    return all(each.psnr is not None and each.psnr >= 60 for each in report.networks)
