"""``sdtui generate``: pictures without the studio."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from sdtui.bundle import Bundle, locate, reference
from sdtui.cli import picture_options, sampling_options, variation_options
from sdtui.cli.errors import CommandLineError
from sdtui.cli.output import Destination, picture_json
from sdtui.cli.progress import report_on
from sdtui.cli.work import in_engine, in_process
from sdtui.diffusion.prompt.submission import pictures
from sdtui.history.inputs import keep_pictures
from sdtui.settings import load_settings, places


def generate(
    prompt: Annotated[
        str, typer.Argument(metavar="PROMPT", help="What they show: words, (words:1.2), {one|another}.")
    ],
    model: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="Default: the settings', else the built-in.")
    ] = None,
    negative: Annotated[str | None, typer.Option(metavar="TEXT", help="What they do not show.")] = None,
    steps: Annotated[int | None, typer.Option(metavar="N")] = None,
    guidance: Annotated[float | None, typer.Option(metavar="F")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Default: drawn.")] = None,
    count: Annotated[int, typer.Option(metavar="N", help="How many pictures.")] = 1,
    scheduler: sampling_options.Scheduler = None,
    list_schedulers: sampling_options.ListSchedulers = False,  # noqa: ARG001
    timestep_spacing: sampling_options.Spacing = None,
    sigmas: sampling_options.NoiseLevels = None,
    rng: sampling_options.Rng = None,
    size: Annotated[str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Default: the model's.")] = None,
    image: picture_options.Image = None,
    strength: picture_options.Strength = None,
    mask: picture_options.Mask = None,
    outpaint: picture_options.Outpaint = None,
    control: picture_options.Controls = None,
    upscale: picture_options.Upscale = None,
    upscale_strength: picture_options.UpscaleStrength = None,
    safety_checker: sampling_options.Checked = None,
    tiled: sampling_options.Tiled = False,
    variation_seed: variation_options.VariationSeed = None,
    variation_strength: variation_options.VariationStrength = None,
    blend_prompt: variation_options.BlendPrompt = None,
    blend: variation_options.Blend = None,
    clip_skip: Annotated[
        int | None, typer.Option(metavar="N", help="Layers of the text encoder to leave out: 0 or 1.")
    ] = None,
    refiner_start: variation_options.RefinerStart = None,
    lora: variation_options.Loras = None,
    compute_units: Annotated[str | None, typer.Option(metavar="all|cpu-only|cpu-and-gpu|cpu-and-ne")] = None,
    precision: Annotated[
        str | None, typer.Option(metavar="auto|fp32|bf16|fp16", help="Of the portable runtime.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A .png for one picture, a folder for several.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file --output names.")] = False,
    inline: Annotated[
        bool, typer.Option("--in-process", help="Work in this process, leave no engine behind.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object per picture on stdout.")] = False,
    events: Annotated[bool, typer.Option("--events", help="Progress as JSON lines on stderr.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,  # noqa: ARG001
) -> None:
    """Make pictures of PROMPT and print where they are."""
    width, height = _size(size)
    choices: dict[str, Any] = {
        "negative_prompt": negative,
        "model": model,
        "steps": steps,
        "guidance_scale": guidance,
        "seed": seed,
        "count": count,
        "scheduler": scheduler,
        "timestep_spacing": timestep_spacing,
        "sigmas": sigmas,
        "rng": rng,
        "width": width,
        "height": height,
        "image": image,
        "strength": strength,
        "mask": mask,
        "outpaint": picture_options.margins(outpaint) if outpaint is not None else None,
        "controls": tuple(map(picture_options.control, control)) if control else None,
        "upscale": upscale,
        "upscale_strength": upscale_strength,
        "safety_checker": safety_checker,
        "tiled": tiled,
        "variation_seed": variation_seed,
        "variation_strength": variation_options.default(variation_strength, variation_seed, 0.1),
        "blend_prompt": blend_prompt,
        "blend": variation_options.default(blend, blend_prompt, 0.5),
        "clip_skip": clip_skip,
        "refiner_start": refiner_start,
        "loras": tuple(map(variation_options.lora, lora)) if lora else None,
        "compute_units": compute_units,
        "precision": precision,
    }
    chosen = {field: value for field, value in choices.items() if value is not None}
    request = load_settings().request(prompt).replace(**chosen)
    destination = Destination.of(output, count, force=force)
    request = request.replace(model=reference(Bundle.open(locate(request.model))))
    request = keep_pictures(request, places().inputs)
    destination.prepare()
    jobs = {uuid4().hex: each for each in pictures(request)}
    work = in_process if inline else in_engine
    with report_on(jobs, as_json=events) as report, closing(work(jobs, report)) as made:
        for finished in made:
            path = destination.place(Path(finished.result.path))
            print(picture_json(finished, path) if json else path, flush=True)


def _size(text: str | None) -> tuple[int | None, int | None]:
    """Width and height in pixels of ``512x768``. Raises CommandLineError."""
    if text is None:
        return None, None
    match = re.fullmatch(r"(\d+)[xX×](\d+)", text)
    if match is None:
        raise CommandLineError("size is not valid", f"{text!r} is not WIDTHxHEIGHT", "write it like 512x512")
    return int(match[1]), int(match[2])
