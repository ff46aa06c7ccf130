"""A bundle made smaller is a whole bundle, and as close as it says."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PIL import Image

from sdtui.bundle import Bundle, verify
from sdtui.bundle.bundle import MANIFEST_FILE, entry_sha256
from sdtui.bundle.library import STARTER_PATH
from sdtui.bundle.manifest import NetworkRole
from sdtui.compress.analysis import load
from sdtui.compress.compress import compress
from sdtui.compress.request import (
    AverageBits,
    CompressedNetwork,
    CompressionError,
    CompressionRequest,
    Goal,
    LeastPsnr,
    TotalBytes,
    Uniform,
)
from sdtui.conversion import Stage, Target
from sdtui.convert.assembly import MODEL, WEIGHTS
from sdtui.diffusion.errors import Cancelled
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest, RequestError

PROMPTS = ("red apple on a blue background", "a photo of the lighthouse")


def made(model: Path, output: Path, goal: Goal, **options: object) -> dict[str, CompressedNetwork]:
    """Compress; what is reported of each network."""
    request = CompressionRequest(
        **{  # type: ignore[arg-type]
            "model": str(model),
            "output": str(output),
            "goal": goal,
            "samples": 2,
            "prompts": PROMPTS,
            **options,
        }
    )
    report = compress(request)
    assert report.path == str(output)
    return {each.network: each for each in report.networks}


def weight_bytes(folder: Path, role: NetworkRole = "unet") -> int:
    return (Bundle.open(folder).network(role) / WEIGHTS).stat().st_size


def test_mixed_bits_beat_the_same_bits_everywhere_on_a_trained_model(tmp_path: Path) -> None:
    """The built-in model, on inputs that nothing was chosen by: at 4.5 bits, and at less than 4."""
    options: dict[str, object] = {"analysis": str(tmp_path / "analysis.json"), "samples": 1}
    four = made(STARTER_PATH, tmp_path / "four", Uniform("palette-4"), samples=1)["unet"]
    mixed = made(STARTER_PATH, tmp_path / "mixed", AverageBits(4.5), **options)["unet"]
    small = made(STARTER_PATH, tmp_path / "small", AverageBits(3.9), **options)["unet"]
    assert four.psnr is not None
    assert mixed.psnr is not None
    assert small.psnr is not None
    assert mixed.psnr > four.psnr + 10
    assert small.psnr > four.psnr + 8
    assert mixed.nbits <= 4.5
    assert small.bytes < four.bytes == weight_bytes(tmp_path / "four")


@pytest.fixture(scope="module")
def coarse(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with weights of 64 values each, for which palettes are found at once."""
    folder = tmp_path_factory.mktemp("coarse")
    made(tiny_bundle, folder / "coarse", Uniform("palette-6"))
    return folder / "coarse"


@pytest.fixture(scope="module")
def analysed(coarse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The analysis of the coarse bundle, with its curve; its picture lies beside it."""
    folder = tmp_path_factory.mktemp("analysed")
    file, picture = folder / "analysis.json", folder / "curve.png"
    made(coarse, folder / "bundle", AverageBits(4.5), analysis=str(file), curve=str(picture))
    return file


def test_a_compressed_bundle_is_whole_and_draws(coarse: Path, analysed: Path) -> None:
    bundle, original = Bundle.open(analysed.parent / "bundle"), Bundle.open(coarse)
    verify(bundle)
    assert bundle.name == "bundle"
    entry = bundle.manifest.networks["unet"]
    assert entry.encoding == "mixed"
    assert entry.nbits is not None
    assert 4 < entry.nbits <= 4.5
    assert entry.psnr is not None
    assert 20 < entry.psnr < (original.manifest.networks["unet"].psnr or 0)
    for role in ("text_encoder", "vae_decoder", "vae_encoder"):
        assert bundle.manifest.networks[role] == original.manifest.networks[role]
    pipeline = Pipeline(bundle)
    picture = pipeline.generate(
        GenerationRequest(prompt="red apple", model=str(bundle.path), seed=3, steps=2)
    )
    pipeline.close()
    assert picture.image.size == (64, 64)


def test_the_curve_is_measured_and_drawn(analysed: Path) -> None:
    curve = load(analysed).curve
    assert curve is not None
    assert [point.bits for point in curve.uniform] == pytest.approx([1, 2, 4, 6, 8], abs=0.7)  # tables
    for points in (curve.uniform, curve.mixed):
        assert [point.nbytes for point in points] == sorted(point.nbytes for point in points)
        assert [point.psnr for point in points] == sorted(point.psnr for point in points)
    assert curve.uniform[-1].psnr == float("inf")  # 64 values are kept as they are
    at_four = next(point for point in curve.mixed if point.bits > 3.9)
    assert at_four.psnr > curve.uniform[2].psnr - 1
    with Image.open(analysed.parent / "curve.png") as picture:
        assert picture.size == (1200, 720)
    assert (analysed.parent / "curve.png").stat().st_size < 100_000


def test_a_size_and_a_psnr_are_kept(coarse: Path, analysed: Path, tmp_path: Path) -> None:
    whole = weight_bytes(coarse)
    sized = made(coarse, tmp_path / "sized", TotalBytes(whole * 3 // 4), analysis=str(analysed))["unet"]
    assert 0.6 * whole < sized.bytes == weight_bytes(tmp_path / "sized") <= whole * 3 // 4
    assert sized.bytes_before == whole
    close = made(coarse, tmp_path / "close", LeastPsnr(35.0), analysis=str(analysed))["unet"]
    assert close.psnr is not None
    assert 33 < close.psnr < 42
    with pytest.raises(CompressionError, match="cannot be that small"):
        made(coarse, tmp_path / "no", TotalBytes(20_000), analysis=str(analysed))


@pytest.mark.parametrize(
    ("target", "goal", "options", "kind", "least"),
    [
        ("macOS13", Uniform("palette-8"), {}, "palettized", 45),
        ("macOS13", Uniform("linear-8"), {}, "linear", 40),
        ("macOS15", Uniform("palette-3"), {}, "palettized", 12),
        ("macOS15", Uniform("palette-4-g4"), {}, "palettized", 25),
        ("macOS15", Uniform("linear-4-b16"), {}, "linear", 18),
        ("macOS14", Uniform("linear-8"), {"activations": True}, "w8a8", 25),
        ("macOS15", Uniform("linear-8"), {"activations": True}, "w8a8", 25),
    ],
)
def test_every_kind(
    target: Target,
    goal: Goal,
    options: dict[str, object],
    kind: str,
    least: float,
    tiny_for: Callable[[Target], Path],
    tmp_path: Path,
) -> None:
    reports = made(tiny_for(target), tmp_path / "small", goal, **options)
    assert set(reports) == {"unet", "text_encoder"}
    assert reports["unet"].psnr is not None
    assert least < reports["unet"].psnr < 70
    assert reports["text_encoder"].psnr is not None
    assert reports["unet"].bytes < 0.75 * reports["unet"].bytes_before
    bundle = Bundle.open(tmp_path / "small")
    verify(bundle)
    assert bundle.manifest.networks["unet"].encoding == kind


def test_a_model_in_float32(tiny_bundle_fp32: Path, tmp_path: Path) -> None:
    """Some of its weights are compressed, the others stay float32."""
    made(tiny_bundle_fp32, tmp_path / "coarse", Uniform("palette-6"))
    unet = made(tmp_path / "coarse", tmp_path / "mixed", AverageBits(14.0))["unet"]
    assert unet.psnr is not None
    assert unet.psnr > 50
    assert 10 < unet.nbits <= 14


def test_other_sizes_share_the_compressed_weights(tiny_bundle: Path, tmp_path: Path) -> None:
    """A bundle whose second size is the same program: one weight file, linked twice."""
    model = copy_with_size(tiny_bundle, tmp_path / "two-sizes")
    made(model, tmp_path / "small", Uniform("palette-4"))
    first, second = (
        tmp_path / "small" / name / WEIGHTS for name in ("Unet.mlpackage", "Unet_64x32.mlpackage")
    )
    assert first.stat().st_ino == second.stat().st_ino
    verify(Bundle.open(tmp_path / "small"))


def copy_with_size(bundle: Path, folder: Path) -> Path:
    shutil.copytree(bundle, folder)
    shutil.copytree(folder / "Unet.mlpackage", folder / "Unet_64x32.mlpackage")
    manifest = Bundle.open(folder).manifest
    entry = msgspec.structs.replace(manifest.networks["unet"], sizes={"64x32": "Unet_64x32.mlpackage"})
    entry = msgspec.structs.replace(entry, sha256=entry_sha256(folder, entry))
    changed = msgspec.structs.replace(manifest, networks={**manifest.networks, "unet": entry})
    (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(changed))
    assert (folder / "Unet_64x32.mlpackage" / MODEL).exists()
    return folder


def test_nothing_is_left_of_one_that_was_stopped(tiny_bundle: Path, tmp_path: Path) -> None:
    heard: list[Stage] = []
    request = CompressionRequest(
        model=str(tiny_bundle), output=str(tmp_path / "small"), goal=Uniform("palette-4"), samples=1
    )
    with pytest.raises(Cancelled):
        compress(request, heard.append, lambda: any(stage.stage == "writing" for stage in heard))
    assert list(tmp_path.iterdir()) == []
    fractions = [stage.fraction for stage in heard]
    assert fractions == sorted(fractions)


def test_what_cannot_be_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    refusals: list[tuple[Goal, dict[str, object], str]] = [
        (Uniform("palette-3"), {}, "macOS13 cannot hold palette-3"),
        (Uniform("palette-4-g8"), {}, "macOS13 cannot hold palette-4-g8"),
        (Uniform("linear-8"), {"activations": True}, "converted for macOS13"),
        (AverageBits(4.0), {"group_size": 8}, "converted for macOS13"),
    ]
    for goal, options, reason in refusals:
        with pytest.raises(CompressionError, match=reason):
            made(tiny_bundle, tmp_path / "small", goal, **options)
    with pytest.raises(CompressionError, match="not overwritten"):
        made(tiny_bundle, tiny_bundle, Uniform("palette-4"))
    for nonsense in (AverageBits(0.5), AverageBits(17), TotalBytes(0), LeastPsnr(-1)):
        with pytest.raises(RequestError):
            made(tiny_bundle, tmp_path / "small", nonsense)
    assert list(tmp_path.iterdir()) == []
