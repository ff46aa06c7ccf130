"""The tiny pipeline as a diffusers folder, which is what most checkpoints are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.tiny import SCHEDULER_CONFIG, TinyTorch

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "scheduler": ["diffusers", "PNDMScheduler"],
}


def save_folder(tiny: TinyTorch, folder: Path) -> Path:
    """Write ``tiny`` to ``folder`` as diffusers would."""
    for name, module in (("text_encoder", tiny.text_encoder), ("unet", tiny.unet), ("vae", tiny.vae)):
        module.save_pretrained(folder / name)
    shutil.copytree(tiny.tokenizer, folder / "tokenizer")
    (folder / "scheduler").mkdir()
    (folder / "scheduler/scheduler_config.json").write_text(json.dumps(dict(SCHEDULER_CONFIG)))
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    return folder
