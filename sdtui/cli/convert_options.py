"""The options of ``sdtui convert``: the names of Apple's converter, and ours.

Apple's that decide nothing here (what they tell is found out, or always done) are hidden: a command
line that worked with Apple's converter works with ours once the program's name is replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperCommand

from sdtui.conversion import PARTS
from sdtui.conversion import Attention as AttentionName

SHAPE = "What it takes and gives"
SIZE = "How large it is"
TAKEN_IN = "What goes into it"
RUN = "The conversion"


class ConvertCommand(TyperCommand):
    """Takes several values after one name, as Apple's does, and helps by groups with every name in full."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, repeated(args, "--convert-controlnet"))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        groups: dict[str, list[tuple[str, str]]] = {"": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or "", []).append(record)
        for title, records in groups.items():
            with formatter.section(title or "Arguments and options"):
                formatter.write_dl(records)


def repeated(words: Sequence[str], option: str) -> list[str]:
    """``option a b`` as ``option a option b``."""
    written: list[str] = []
    following = False
    for word in words:
        if word == option:
            following = True
        elif word.startswith("-"):
            following = False
            written.append(word)
        elif following:
            written += [option, word]
        else:
            written.append(word)
    return written


Source = Annotated[
    str | None,
    typer.Argument(metavar="SOURCE", help="A diffusers folder, a .safetensors file or a Hub name."),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="The bundle to make. Default: named after SOURCE, in the models folder.",
    ),
]

# ---- the networks --------------------------------------------------------------------------

Attention = Annotated[
    AttentionName,
    typer.Option(
        "--attention-implementation",
        metavar="ORIGINAL|SPLIT_EINSUM|SPLIT_EINSUM_V2",
        help="The first for a GPU, the others for the Neural Engine.",
        rich_help_panel=SHAPE,
    ),
]
Target = Annotated[
    Literal["macOS13", "macOS14", "macOS15", "iOS16", "iOS17", "iOS18"],
    typer.Option(
        "--min-deployment-target",
        metavar="macOS13|macOS14|macOS15",
        help="The oldest system it runs on; iOS16, 17, 18 are the same.",
        rich_help_panel=SHAPE,
    ),
]
ComputePrecision = Annotated[
    Literal["fp16", "fp32"],
    typer.Option("--precision", metavar="fp16|fp32", help="Of the arithmetic.", rich_help_panel=SHAPE),
]
Networks = Annotated[
    str | None,
    typer.Option(
        "--networks",
        metavar="A,B",
        help=f"Some of {', '.join(PARTS)}. Default: all there are.",
        rich_help_panel=SHAPE,
    ),
]
Sizes = Annotated[
    list[str] | None,
    typer.Option(
        "--size",
        metavar="WxH",
        help="Pixels. Repeatable, the first is the bundle's own.",
        rich_help_panel=SHAPE,
    ),
]
LatentHeight = Annotated[
    int | None, typer.Option("--latent-h", metavar="N", help="Pixels / 8.", rich_help_panel=SHAPE)
]
LatentWidth = Annotated[
    int | None, typer.Option("--latent-w", metavar="N", help="Pixels / 8.", rich_help_panel=SHAPE)
]
Multifunction = Annotated[
    bool,
    typer.Option("--multifunction", help="All sizes in one package (macOS15).", rich_help_panel=SHAPE),
]
TokenLength = Annotated[
    int | None,
    typer.Option("--text-token-sequence-length", metavar="N", help="Tokens.", rich_help_panel=SHAPE),
]
TextHiddenSize = Annotated[
    int | None,
    typer.Option("--text-encoder-hidden-size", metavar="N", help="Channels.", rich_help_panel=SHAPE),
]
BatchOne = Annotated[
    bool,
    typer.Option(
        "--unet-batch-one", help="One picture at a time, guidance in two runs.", rich_help_panel=SHAPE
    ),
]
SupportControlNet = Annotated[
    bool,
    typer.Option("--unet-support-controlnet", help="A UNet that ControlNets steer.", rich_help_panel=SHAPE),
]

# ---- size on disk --------------------------------------------------------------------------

Bits = Annotated[
    int | None,
    typer.Option(
        "--quantize-nbits", metavar="1|2|3|4|6|8", help="Palettize the weights.", rich_help_panel=SIZE
    ),
]
GroupSize = Annotated[
    int | None,
    typer.Option(
        "--group-size", metavar="N", help="Channels that share a palette (macOS15).", rich_help_panel=SIZE
    ),
]
Linear = Annotated[
    bool, typer.Option("--linear", help="8-bit integers in place of a palette.", rich_help_panel=SIZE)
]
Chunk = Annotated[bool, typer.Option("--chunk-unet", help="The UNet in two packages.", rich_help_panel=SIZE)]
SwiftResources = Annotated[
    bool,
    typer.Option(
        "--bundle-resources-for-swift-cli",
        help="Also a Resources folder, for Apple's program.",
        rich_help_panel=SIZE,
    ),
]

# ---- what goes in --------------------------------------------------------------------------

Loras = Annotated[
    list[str] | None,
    typer.Option(
        "--lora", metavar="PATH[:WEIGHT]", help="Fuse this LoRA. Repeatable.", rich_help_panel=TAKEN_IN
    ),
]
Embeddings = Annotated[
    list[str] | None,
    typer.Option(
        "--embedding", metavar="FILE", help="A textual inversion. Repeatable.", rich_help_panel=TAKEN_IN
    ),
]
ControlNets = Annotated[
    list[str] | None,
    typer.Option(
        "--convert-controlnet", metavar="SOURCE...", help="ControlNets beside it.", rich_help_panel=TAKEN_IN
    ),
]
Refiner = Annotated[
    str | None,
    typer.Option("--refiner-version", metavar="SOURCE", help="An SDXL refiner.", rich_help_panel=TAKEN_IN),
]
Vae = Annotated[
    str | None,
    typer.Option("--custom-vae-version", metavar="SOURCE", help="Another VAE.", rich_help_panel=TAKEN_IN),
]
PreviewDecoder = Annotated[
    str | None,
    typer.Option(
        "--preview-decoder",
        metavar="SOURCE",
        help="A tiny autoencoder to preview with.",
        rich_help_panel=TAKEN_IN,
    ),
]
T5 = Annotated[
    bool, typer.Option("--include-t5", help="SD3's large text encoder too.", rich_help_panel=TAKEN_IN)
]
TextProjection = Annotated[
    str | None,
    typer.Option(
        "--text-projection", metavar="FILE", help="For multilingual prompts.", rich_help_panel=TAKEN_IN
    ),
]

# ---- the conversion ------------------------------------------------------------------------

OnlyForecast = Annotated[
    bool,
    typer.Option("--forecast", help="Only tell what it will take.", rich_help_panel=RUN),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Start even where the disk seems too small.", rich_help_panel=RUN)
]
MinimumPsnr = Annotated[
    float | None,
    typer.Option("--minimum-psnr", metavar="dB", help="What each network must reach.", rich_help_panel=RUN),
]
Check = Annotated[
    bool,
    typer.Option("--check-output-correctness", help="Always done: each against torch.", rich_help_panel=RUN),
]
Json = Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.", rich_help_panel=RUN)]
Events = Annotated[
    bool, typer.Option("--events", help="Progress as JSON lines on stderr.", rich_help_panel=RUN)
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks.", rich_help_panel=RUN)]

# ---- Apple's, for fingers that know them ---------------------------------------------------

ModelVersion = Annotated[str | None, typer.Option("--model-version", metavar="SOURCE", hidden=True)]
ConvertTextEncoder = Annotated[bool, typer.Option("--convert-text-encoder", hidden=True)]
ConvertUnet = Annotated[bool, typer.Option("--convert-unet", "--convert-mmdit", hidden=True)]
ConvertVaeDecoder = Annotated[bool, typer.Option("--convert-vae-decoder", hidden=True)]
ConvertVaeEncoder = Annotated[bool, typer.Option("--convert-vae-encoder", hidden=True)]
ConvertSafetyChecker = Annotated[bool, typer.Option("--convert-safety-checker", hidden=True)]
XlVersion = Annotated[bool, typer.Option("--xl-version", hidden=True)]
Sd3Version = Annotated[bool, typer.Option("--sd3-version", hidden=True)]
ComputeUnit = Annotated[str | None, typer.Option("--compute-unit", hidden=True)]
TokenizerFile = Annotated[
    str | None,
    typer.Option("--text-encoder-vocabulary-url", "--text-encoder-merges-url", hidden=True),
]
T5File = Annotated[
    str | None,
    typer.Option(
        "--text-encoder-t5-url", "--text-encoder-t5-config-url", "--text-encoder-t5-data-url", hidden=True
    ),
]
