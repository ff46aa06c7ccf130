"""``sdtui convert``: a checkpoint becomes a bundle, in front of the person who asked for it."""

from __future__ import annotations

import json as jsonlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec

from sdtui.cli import convert_options as options
from sdtui.cli.convert_progress import Report, report_on
from sdtui.cli.errors import CommandLineError
from sdtui.conversion import (
    ConversionReport,
    ConversionRequest,
    Forecast,
    Part,
    Target,
    parse_fused,
    parse_parts,
    parse_size,
)
from sdtui.conversion_page import amount, forecast_page, report_page, spoken
from sdtui.convert.workspace import Workspace
from sdtui.engine.converter import ConversionError, Converter, forecast_of, rooted
from sdtui.settings import places

SD3: set[Part] = {"text-encoder", "unet", "vae-decoder", "vae-encoder"}

SYSTEMS: dict[str, Target] = {
    "macOS13": "macOS13",
    "iOS16": "macOS13",
    "macOS14": "macOS14",
    "iOS17": "macOS14",
    "macOS15": "macOS15",
    "iOS18": "macOS15",
}
"""Of those in a group, each runs what the others run."""


def convert(
    source: options.Source = None,
    output: options.Output = None,
    attention: options.Attention = "SPLIT_EINSUM",
    target: options.Target = "macOS13",
    precision: options.ComputePrecision = "fp16",
    networks: options.Networks = None,
    sizes: options.Sizes = None,
    latent_h: options.LatentHeight = None,
    latent_w: options.LatentWidth = None,
    multifunction: options.Multifunction = False,
    token_length: options.TokenLength = None,
    text_hidden_size: options.TextHiddenSize = None,
    unet_batch_one: options.BatchOne = False,
    unet_support_controlnet: options.SupportControlNet = False,
    nbits: options.Bits = None,
    group_size: options.GroupSize = None,
    linear: options.Linear = False,
    chunk_unet: options.Chunk = False,
    swift_resources: options.SwiftResources = False,
    loras: options.Loras = None,
    embeddings: options.Embeddings = None,
    controlnets: options.ControlNets = None,
    refiner: options.Refiner = None,
    vae: options.Vae = None,
    preview_decoder: options.PreviewDecoder = None,
    include_t5: options.T5 = False,
    text_projection: options.TextProjection = None,
    only_forecast: options.OnlyForecast = False,
    yes: options.Yes = False,
    minimum_psnr: options.MinimumPsnr = None,
    check: options.Check = False,  # noqa: ARG001 — it is always done
    json: options.Json = False,
    events: options.Events = False,
    debug: options.Debug = False,
    model_version: options.ModelVersion = None,
    convert_text_encoder: options.ConvertTextEncoder = False,
    convert_unet: options.ConvertUnet = False,
    convert_vae_decoder: options.ConvertVaeDecoder = False,
    convert_vae_encoder: options.ConvertVaeEncoder = False,
    convert_safety_checker: options.ConvertSafetyChecker = False,
    xl_version: options.XlVersion = False,
    sd3_version: options.Sd3Version = False,
    compute_unit: options.ComputeUnit = None,
    tokenizer_file: options.TokenizerFile = None,
    t5_file: options.T5File = None,
) -> None:
    """Make a Core ML bundle of SOURCE, and compare it with the original.

    An interrupted conversion goes on where it stopped when the same command is given again.
    """
    source = _source(source, model_version)
    flagged: dict[Part, bool] = {
        "text-encoder": convert_text_encoder,
        "unet": convert_unet,
        "vae-decoder": convert_vae_decoder,
        "vae-encoder": convert_vae_encoder,
        "safety-checker": convert_safety_checker,
        "text-encoder-t5": include_t5,
    }
    request = ConversionRequest(
        source=source,
        output=str(output or places().models / Path(source).stem),
        networks=_networks(networks, [part for part, wanted in flagged.items() if wanted], refiner),
        attention=attention,
        target=SYSTEMS[target],
        precision=precision,
        sizes=_sizes(sizes or [], latent_h, latent_w),
        multifunction=multifunction,
        token_length=token_length,
        text_hidden_size=text_hidden_size,
        unet_batch_one=unet_batch_one,
        chunk_unet=chunk_unet,
        unet_support_controlnet=unet_support_controlnet,
        controlnets=tuple(controlnets or ()),
        refiner=refiner,
        vae=vae,
        preview_decoder=preview_decoder,
        text_projection=text_projection,
        nbits=nbits,
        group_size=group_size,
        linear=linear,
        loras=tuple(map(parse_fused, loras or ())),
        embeddings=tuple(embeddings or ()),
        minimum_psnr=minimum_psnr,
        swift_resources=swift_resources,
    )
    _note_what_changes_nothing(
        {
            "--xl-version": xl_version,
            "--sd3-version": sd3_version,
            "--compute-unit": compute_unit,
            "--text-encoder-vocabulary-url, --text-encoder-merges-url": tokenizer_file,
            "--text-encoder-t5-…-url": t5_file,
        }
    )
    request = rooted(request)
    if only_forecast:
        _tell_forecast(request, as_json=json, debug=debug)
        return
    with report_on(as_json=events) as progress:
        report = _converted(request, progress, yes=yes, debug=debug)
    print(_report_json(report) if json else "\n".join(report_page(report)), flush=True)
    _refuse_unfaithful(report)


# ---- what is asked for ---------------------------------------------------------------------


def _source(source: str | None, model_version: str | None) -> str:
    """The one source there is. Raises CommandLineError."""
    if source and model_version and source != model_version:
        raise CommandLineError(
            "the source is not clear", f"there are {source} and {model_version}", "give one of them"
        )
    if not (found := source or model_version):
        raise CommandLineError(
            "there is no source", "neither a folder, a file nor a Hub name was given", "give one as SOURCE"
        )
    return found


def _networks(named: str | None, flagged: list[Part], refiner: str | None) -> tuple[Part, ...] | None:
    """``--networks`` and Apple's flags together; None for all there are. ``--include-t5`` only adds."""
    chosen = set(parse_parts(named or "")) | set(flagged)
    if not chosen:
        return None
    if chosen == {"text-encoder-t5"} and not named:  # besides the rest of SD3, the only one that has it
        chosen |= SD3
    if refiner and "unet" in chosen:
        chosen.add("refiner")
    return parse_parts(",".join(chosen))


def _sizes(named: list[str], latent_h: int | None, latent_w: int | None) -> tuple[tuple[int, int], ...]:
    """``--size`` and Apple's ``--latent-h``, ``--latent-w``, in pixels. Raises CommandLineError."""
    sizes = [parse_size(text) for text in named]
    if latent_h is None and latent_w is None:
        return tuple(sizes)
    if latent_h is None or latent_w is None:
        raise CommandLineError(
            "size is not valid", "--latent-h and --latent-w belong together", "give both, or --size WxH"
        )
    return ((latent_w * 8, latent_h * 8), *sizes)


def _note_what_changes_nothing(given: dict[str, object]) -> None:
    names = [name for name, value in given.items() if value]
    if names:
        print(f"note: {', '.join(names)} changes nothing: the source tells it", file=sys.stderr)


# ---- the conversion ------------------------------------------------------------------------


def _tell_forecast(request: ConversionRequest, *, as_json: bool, debug: bool) -> None:
    converter = Converter(request, only_forecast=True, complaints=_complaints(debug))
    with closing(converter):
        forecast = forecast_of(converter)
    if as_json:
        print(msgspec.json.encode(forecast).decode())
    else:
        print("\n".join(forecast_page(forecast)))


def _converted(request: ConversionRequest, progress: Report, *, yes: bool, debug: bool) -> ConversionReport:
    """The report of the conversion of ``request``. Raises :class:`ConversionError`."""
    with _interruptible(), closing(Converter(request, complaints=_complaints(debug))) as converter:
        for event in converter.events():
            progress.hear(event)
            if isinstance(event, Forecast) and not yes:
                _refuse_full_disk(request, event)
            if isinstance(event, ConversionReport):
                return event
    raise AssertionError("a converter that nobody stopped ends with a report or an error")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Say on an interrupt that it costs nothing."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped: the same command goes on from here", file=sys.stderr)
        raise


def _complaints(debug: bool) -> Any:
    return sys.stderr if debug else subprocess.DEVNULL


def _refuse_full_disk(request: ConversionRequest, forecast: Forecast) -> None:
    folder = next(parent for parent in Path(request.output).parents if parent.exists())
    unfinished = Workspace.beside(Path(request.output)).root  # what an earlier attempt has written
    written = sum(file.stat().st_size for file in unfinished.rglob("*") if file.is_file())
    free = shutil.disk_usage(folder).free + written
    if forecast.disk > free:
        raise ConversionError(
            "nothing was converted",
            f"it takes {amount(forecast.disk)} on disk and {folder} has {amount(free)} left",
            "make room, or add --yes",
        )


# ---- what became of it ---------------------------------------------------------------------


def _report_json(report: ConversionReport) -> str:
    """The object that ``--json`` prints."""
    facts = msgspec.structs.asdict(report)
    facts["networks"] = [
        {**msgspec.structs.asdict(each), "faithful": each.faithful} for each in report.networks
    ]
    return jsonlib.dumps(facts, ensure_ascii=False)


def _refuse_unfaithful(report: ConversionReport) -> None:
    """Raises :class:`ConversionError` when a network does not do what its original does."""
    below = [each for each in report.networks if not each.faithful]
    if below:
        told = "; ".join(f"{spoken(each.network)} {each.psnr:.1f} of {each.threshold:g} dB" for each in below)
        raise ConversionError(
            "the bundle is not faithful to its source", told, "use more bits, or --minimum-psnr if it will do"
        )
