"""A bundle is written whole or not at all, and says what it is."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sdtui.bundle import Bundle, verify
from sdtui.convert.encoding.encodings import EncodingError
from sdtui.convert.source import ConversionError
from sdtui.files import create_folder_atomically
from tests.tiny import SCHEDULER_CONFIG, TOKENS, TinyTorch, convert_tiny


def test_the_manifest_tells_what_a_picture_needs(tiny_bundle: Path, tiny_torch: TinyTorch) -> None:
    bundle = Bundle.open(tiny_bundle)
    manifest = bundle.manifest
    assert (manifest.width, manifest.height, manifest.scale, manifest.latent_channels) == (64, 64, 8, 4)
    assert (manifest.scaling_factor, manifest.shift_factor, manifest.token_length) == (0.5, 0.0, TOKENS)
    assert manifest.pad_token == "<|endoftext|>"
    assert set(manifest.networks) == {"text_encoder", "unet", "vae_decoder", "vae_encoder"}
    assert json.loads((tiny_bundle / "scheduler_config.json").read_text()) == SCHEDULER_CONFIG
    for file in ("vocab.json", "merges.txt"):
        assert (tiny_bundle / file).read_bytes() == (tiny_torch.tokenizer / file).read_bytes()
    verify(bundle)


def test_an_existing_output_is_refused(tiny_bundle: Path, tiny_torch: TinyTorch) -> None:
    before = Bundle.open(tiny_bundle)
    with pytest.raises(ConversionError, match="file exists"):
        convert_tiny(tiny_torch, tiny_bundle)
    assert Bundle.open(tiny_bundle) == before


def test_a_failure_midway_leaves_nothing(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    """The text encoder is converted before the UNet's palette turns out impossible."""
    with pytest.raises(EncodingError, match="5 bits"):
        convert_tiny(tiny_torch, tmp_path / "bundle", nbits={"unet": 5})
    assert not list(tmp_path.iterdir())


def test_a_kill_midway_leaves_no_bundle(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys, pathlib\n"
        "from sdtui.files import create_folder_atomically\n"
        "with create_folder_atomically(pathlib.Path(sys.argv[1])) as folder:\n"
        "    folder.mkdir()\n"
        "    (folder / 'bundle.json').touch()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = subprocess.run([sys.executable, "-c", program, str(tmp_path / "bundle")], check=False)
    assert result.returncode == -signal.SIGKILL
    assert not (tmp_path / "bundle").exists()
    with create_folder_atomically(tmp_path / "bundle") as folder:  # nor does it stand in the way
        folder.mkdir()
    assert (tmp_path / "bundle").is_dir()


@pytest.mark.parametrize("missing", ["vocab.json", "merges.txt"])
def test_a_tokenizer_that_is_not_there(missing: str, tiny_torch: TinyTorch, tmp_path: Path) -> None:
    tokenizer = shutil.copytree(tiny_torch.tokenizer, tmp_path / "tokenizer")
    (tokenizer / missing).unlink()
    with pytest.raises(ConversionError, match="cannot be read"):
        convert_tiny(dataclasses.replace(tiny_torch, tokenizer=tokenizer), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_folder_that_cannot_be_written(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConversionError, match="cannot be written"):
        convert_tiny(tiny_torch, tmp_path / "file" / "bundle")


def test_pixels_that_no_latents_decode_to(tiny_torch: TinyTorch, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="not multiples of 8"):
        convert_tiny(tiny_torch, tmp_path / "bundle", pixels=60)
