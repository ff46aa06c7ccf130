"""``python -m sdtui.starter.sheet``: 64 prompts drawn once each, whatever comes out, on one sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from sdtui.starter import MODEL_FOLDER
from sdtui.starter.evaluate import Drawer, Sampling

_COLUMNS = 8


def prompts() -> list[str]:
    """The 64 prompts, in the order of the sheet."""
    text = (Path(__file__).parent / "prompts.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]


def draw(folder: Path, sampling: Sampling, asked: list[str]) -> Image.Image:
    """All pictures, each with its number as the seed, in rows of eight."""
    drawer = Drawer(folder)
    images = [drawer.image(prompt, number, sampling) for number, prompt in enumerate(asked)]
    drawer.pipeline.close()
    width, height = images[0].size
    sheet = Image.new("RGB", (_COLUMNS * width, -(-len(images) // _COLUMNS) * height))
    for index, image in enumerate(images):
        sheet.paste(image, (index % _COLUMNS * width, index // _COLUMNS * height))
    return sheet


def main() -> None:
    """Read the command line, draw and write."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.sheet", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL_FOLDER, help="folder of a bundle")
    parser.add_argument("--output", type=Path, default=Path("screenshots/starter.png"))
    parser.add_argument("--steps", type=int, default=Sampling().steps)
    parser.add_argument("--guidance", type=float, default=Sampling().guidance)
    arguments = parser.parse_args()
    sampling = Sampling(steps=arguments.steps, guidance=arguments.guidance)
    draw(arguments.model, sampling, prompts()).save(arguments.output, optimize=True)
    print(arguments.output)


if __name__ == "__main__":
    main()
