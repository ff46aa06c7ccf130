"""A folder that somebody else made becomes a bundle, or one line says why not, and nothing is left."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from coremltools.models.utils import bisect_model
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sdtui.bundle import Bundle, BundleError, locate, reference, verify
from sdtui.bundle import adoption as adoption_module
from sdtui.bundle.clip import write_clip_tokenizer
from sdtui.bundle.importing import How, import_model
from sdtui.bundle.latent_colours import published_colours
from sdtui.bundle.linking import place_file
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.pipeline import Pipeline
from sdtui.errors import SdtuiError
from sdtui.files import LEFT_BEHIND
from sdtui.request import GenerationRequest
from sdtui.runtime import NetworkError
from sdtui.settings import places
from tests.bundle.foreign import (
    SD,
    Shapes,
    apple_folder,
    compiled,
    compiled_resources,
    resources,
    with_vocabulary,
)
from tests.tiny import TOKENS

Networks = Mapping[str, tuple[Shapes, Shapes]]

SDXL: Networks = {
    "TextEncoder": ({"input_ids": [1, 77]}, {"hidden_embeds": []}),
    "TextEncoder2": ({"input_ids": [1, 77]}, {"hidden_embeds": []}),
    "Unet": (
        {
            "sample": [2, 4, 128, 96],
            "timestep": [2],
            "encoder_hidden_states": [2, 2048, 1, 77],
            "time_ids": [2, 6],
            "text_embeds": [2, 1280],
        },
        {"noise_pred": []},
    ),
    "VAEDecoder": ({"z": [1, 4, 128, 96]}, {"image": []}),
}
REFINER: tuple[Shapes, Shapes] = (
    {**SDXL["Unet"][0], "encoder_hidden_states": [2, 1280, 1, 77], "time_ids": [2, 5]},
    {"noise_pred": []},
)
SD3: Networks = {
    "TextEncoder": SDXL["TextEncoder"],
    "TextEncoder2": SDXL["TextEncoder2"],
    "MultiModalDiffusionTransformer": (
        {
            "latent_image_embeddings": [2, 16, 64, 64],
            "token_level_text_embeddings": [2, 4096, 1, 154],
            "pooled_text_embeddings": [2, 2048, 1, 1],
            "timestep": [2],
        },
        {"denoiser_output": []},
    ),
    "VAEDecoder": ({"z": [1, 16, 64, 64]}, {"image": [1, 3, 512, 512]}),
}
RESIDUALS: Shapes = {"additional_residual_0": [2, 320, 64, 64], "additional_residual_1": [2, 1280, 8, 8]}
CONTROLLED: tuple[Shapes, Shapes] = ({**SD["Unet"][0], **RESIDUALS}, {"noise_pred": []})
CONTROLNET: tuple[Shapes, Shapes] = (
    {**SD["Unet"][0], "controlnet_cond": [2, 3, 512, 512]},
    dict.fromkeys(RESIDUALS, ()),
)


def sd2(pixels: int) -> Networks:
    """Stable Diffusion 2, whose words have 1024 numbers."""
    side = pixels // 8
    return {
        "TextEncoder": ({"input_ids": [1, 77]}, {"last_hidden_state": [1, 77, 1024]}),
        "Unet": (
            {"sample": [2, 4, side, side], "timestep": [2], "encoder_hidden_states": [2, 1024, 1, 77]},
            {"noise_pred": []},
        ),
        "VAEDecoder": ({"z": [1, 4, side, side]}, {"image": []}),
    }


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    folder = tmp_path / "theirs"
    folder.mkdir()
    return folder


def scheduler(bundle: Bundle) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle.path / "scheduler_config.json").read_text())
    return content


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` and what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def clones(folder: Path) -> bool:
    """Whether the file system there clones files, so that hard links are not needed."""
    (folder / "probe").touch()
    place_file(folder / "probe", folder / "probe-2")
    return (folder / "probe").stat().st_nlink == 1


# ---- what becomes of it --------------------------------------------------------------------


def pictured(bundle: Bundle) -> bytes:
    """The pixels of one request."""
    request = GenerationRequest(prompt="a red apple", seed=7, steps=3, precision="fp32")
    pipeline = Pipeline(bundle, precision="fp32")
    try:
        return pipeline.generate(request).image.tobytes()
    finally:
        pipeline.close()


@pytest.fixture(scope="module")
def expected(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The picture of the tiny bundle, if its latents had the scale that its family has."""
    folder = shutil.copytree(tiny_bundle, tmp_path_factory.mktemp("expected") / "tiny")
    content = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(content | {"scaling_factor": 0.18215}))
    return pictured(Bundle.open(folder))


def test_apples_packages_make_the_same_picture(
    tiny_bundle: Path, theirs: Path, models: Path, expected: bytes
) -> None:
    with_vocabulary(tiny_bundle, apple_folder(tiny_bundle, theirs))
    imported = import_model(theirs, models)
    bundle = imported.bundle
    assert imported.warnings == ()
    assert bundle.path == models / "tiny"
    assert (bundle.name, bundle.manifest.source) == ("tiny", "somebody/tiny")
    assert (bundle.manifest.width, bundle.manifest.height, bundle.manifest.token_length) == (64, 64, TOKENS)
    assert (bundle.manifest.attention, bundle.manifest.target) == ("ORIGINAL", "macOS13")
    assert bundle.hash == Bundle.open(tiny_bundle).hash
    verify(bundle)
    assert pictured(bundle) == expected


def test_apples_halves_make_the_same_picture(
    tiny_bundle: Path, theirs: Path, models: Path, expected: bytes
) -> None:
    """Cut by what Apple's converter cuts with; what passes between the halves it rounds to float16."""
    with_vocabulary(tiny_bundle, apple_folder(tiny_bundle, theirs))
    (unet,) = theirs.glob("*_unet.mlpackage")
    bisect_model(str(unet), str(theirs), check_output_correctness=False)
    shutil.rmtree(unet)
    bundle = import_model(theirs, models).bundle
    assert bundle.manifest.networks["unet"].second_half == "UnetChunk2.mlpackage"
    verify(bundle)
    halved = pictured(bundle)
    assert max(abs(ours - whole) for ours, whole in zip(halved, expected, strict=True)) <= 2
    assert (
        pictured(import_model(compiled_resources(bundle.path, theirs / "c"), models, name="c").bundle)
        == halved
    )


def test_what_is_compiled_makes_the_same_picture(
    tiny_bundle: Path, theirs: Path, models: Path, expected: bytes
) -> None:
    """As the Hub publishes models, and as a Mac compiles them: without descriptions."""
    assert pictured(import_model(compiled_resources(tiny_bundle, theirs / "a"), models).bundle) == expected
    folder = compiled_resources(tiny_bundle, theirs / "b", metadata=False)
    assert pictured(import_model(folder, models).bundle) == expected


def test_files_are_shared_and_nothing_of_theirs_changes(
    tiny_bundle: Path, theirs: Path, models: Path
) -> None:
    with_vocabulary(tiny_bundle, apple_folder(tiny_bundle, theirs))
    before = tree(theirs)
    bundle = import_model(theirs, models).bundle
    weights = next(bundle.network("unet").rglob("weight.bin"))
    (original,) = theirs.glob("*unet.mlpackage/**/weight.bin")
    assert tree(theirs) == before
    assert weights.samefile(original) or clones(theirs)


@pytest.mark.parametrize("how", ["copy", "move"])
def test_files_can_be_copied_or_taken_away(tiny_bundle: Path, theirs: Path, models: Path, how: How) -> None:
    with_vocabulary(tiny_bundle, apple_folder(tiny_bundle, theirs))
    bundle = import_model(theirs, models, how=how).bundle
    verify(bundle)
    assert all(file.stat().st_nlink == 1 for file in bundle.path.rglob("*") if file.is_file())
    left = sorted(each.name for each in theirs.iterdir() if each.suffix == ".mlpackage")
    assert len(left) == (4 if how == "copy" else 0)


def test_compiled_stable_diffusion(theirs: Path, models: Path) -> None:
    resources(theirs / "Dreamy" / "Resources", Unet=(SD["Unet"][0], {"noise_pred": []}))
    imported = import_model(theirs / "Dreamy", models)
    manifest = imported.bundle.manifest
    assert imported.bundle.path == models / "Dreamy"
    assert (manifest.family, manifest.width, manifest.height, manifest.scale) == ("sd", 512, 512, 8)
    assert (manifest.latent_channels, manifest.scaling_factor, manifest.token_length) == (4, 0.18215, 77)
    assert {role: entry.file for role, entry in manifest.networks.items()} == {
        "text_encoder": "TextEncoder.mlmodelc",
        "unet": "Unet.mlmodelc",
        "vae_decoder": "VAEDecoder.mlmodelc",
        "vae_encoder": "VAEEncoder.mlmodelc",
    }
    assert manifest.pad_token == "<|endoftext|>"
    assert manifest.preview == published_colours("sd", 4, 8) is not None
    assert Tokenizer(imported.bundle).encode("a photo of a cat").ids[:7] == (
        49406, 320, 1125, 539, 320, 2368, 49407,
    )  # fmt: skip
    config = scheduler(imported.bundle)
    assert (config["_class_name"], config["prediction_type"]) == ("PNDMScheduler", "epsilon")
    assert (config["beta_schedule"], config["beta_start"], config["beta_end"]) == (
        "scaled_linear", 0.00085, 0.012,
    )  # fmt: skip
    verify(imported.bundle)


def test_sdxl_with_its_refiner(theirs: Path, models: Path) -> None:
    bundle = import_model(resources(theirs, SDXL, UnetRefiner=REFINER), models).bundle
    manifest = bundle.manifest
    assert (manifest.family, manifest.width, manifest.height) == ("sdxl", 768, 1024)
    assert (manifest.scaling_factor, manifest.pad_token, manifest.pad_token_2) == (
        0.13025, "<|endoftext|>", "!",
    )  # fmt: skip
    assert bundle.network("refiner").name == "UnetRefiner.mlmodelc"
    assert scheduler(bundle)["_class_name"] == "EulerDiscreteScheduler"
    assert set(Tokenizer(bundle, "text_encoder_2").encode("").ids[2:]) == {0}


def test_an_older_sdxl_has_flat_time_ids(theirs: Path, models: Path) -> None:
    unet: tuple[Shapes, Shapes] = ({**SDXL["Unet"][0], "time_ids": [12]}, {"noise_pred": []})
    assert import_model(resources(theirs, SDXL, Unet=unet), models).bundle.manifest.family == "sdxl"


def test_a_refiner_alone(theirs: Path, models: Path) -> None:
    resources(theirs, SDXL, Unet=REFINER)
    shutil.rmtree(theirs / "TextEncoder.mlmodelc")
    assert import_model(theirs, models).bundle.manifest.family == "sdxl-refiner"


def test_sd3_leaves_out_a_t5_without_tokenizer(theirs: Path, models: Path) -> None:
    t5: tuple[Shapes, Shapes] = (
        {"input_ids": [1, 128], "attention_mask": [1, 128]},
        {"encoder_hidden_states": []},
    )
    resources(theirs, SD3, TextEncoderT5=t5)
    imported = import_model(theirs, models, name="without")
    manifest = imported.bundle.manifest
    assert "T5" in imported.warnings[0]
    assert (manifest.family, manifest.width, manifest.token_length) == ("sd3", 512, 77)
    assert (manifest.scaling_factor, manifest.shift_factor) == (1.5305, 0.0609)
    assert scheduler(imported.bundle)["_class_name"] == "FlowMatchEulerDiscreteScheduler"
    (theirs / "tokenizer.json").write_text("{}")
    (theirs / "tokenizer_config.json").write_text('{"pad_token": "<pad>"}')
    imported = import_model(theirs, models, name="with")
    assert imported.warnings == ()
    assert imported.bundle.manifest.networks["text_encoder_3"].file == "TextEncoderT5.mlmodelc"
    assert imported.bundle.manifest.pad_token == "<|endoftext|>"


@pytest.mark.parametrize(
    ("version", "pixels", "said", "predicted", "told"),
    [
        ("stabilityai/stable-diffusion-2-1", 768, None, "v_prediction", False),
        ("stabilityai/stable-diffusion-2-1-base", 512, None, "epsilon", False),
        ("stabilityai/stable-diffusion-2-base", 768, None, "epsilon", False),
        ("me/painter", 768, None, "epsilon", True),
        ("me/painter", 768, "v_prediction", "v_prediction", False),
        ("stabilityai/stable-diffusion-2-1", 768, "epsilon", "epsilon", False),
    ],
)
def test_what_stable_diffusion_2_predicts(
    theirs: Path, models: Path, version: str, pixels: int, said: Any, predicted: str, told: bool
) -> None:
    networks = sd2(pixels)
    for stem, (inputs, outputs) in networks.items():
        compiled(theirs / f"{stem}.mlmodelc", inputs, outputs, version=version)
    imported = import_model(theirs, models, prediction=said)
    assert scheduler(imported.bundle)["prediction_type"] == predicted
    assert ["--prediction-type" in warning for warning in imported.warnings] == [True] * told
    assert imported.bundle.manifest.pad_token == "!"
    assert imported.bundle.path.name == version.partition("/")[2]


def test_halves_are_bound_in_their_order(theirs: Path, models: Path) -> None:
    resources(theirs)
    shutil.rmtree(theirs / "Unet.mlmodelc")
    words = {"encoder_hidden_states": [2, 768, 1, 77]}
    first: Shapes = {"sample": [2, 4, 64, 64], "timestep": [2], **words}
    compiled(theirs / "UnetChunk1.mlmodelc", first, {"hidden": [2, 640, 16, 16], "skip": []})
    compiled(theirs / "UnetChunk2.mlmodelc", {"hidden": [2, 640, 16, 16], **words}, {"noise_pred": []})
    bundle = import_model(theirs, models, name="halved").bundle
    assert [half.name for half in bundle.halves("unet")] == ["UnetChunk1.mlmodelc", "UnetChunk2.mlmodelc"]
    verify(bundle)

    shutil.rmtree(theirs / "UnetChunk2.mlmodelc")
    compiled(theirs / "UnetChunk2.mlmodelc", words, {"noise_pred": []})
    with pytest.raises(BundleError, match="the two halves do not meet"):
        import_model(theirs, models)


def test_attention_is_seen_in_the_network(theirs: Path, models: Path) -> None:
    folder = theirs / "split_einsum_v2" / "compiled"
    for stem, (inputs, outputs) in SD.items():
        compiled(folder / f"{stem}.mlmodelc", inputs, outputs, operations={"Ios16.einsum": 32})
    assert import_model(theirs, models, name="two").bundle.manifest.attention == "SPLIT_EINSUM_V2"
    (theirs / "split_einsum_v2").rename(theirs / "split_einsum")
    assert import_model(theirs, models, name="one").bundle.manifest.attention == "SPLIT_EINSUM"


def test_controlnets_that_fit_are_taken(theirs: Path, models: Path) -> None:
    """A UNet that takes their residuals is one, whatever it is called."""
    resources(theirs, Unet=CONTROLLED)
    smaller = ({**CONTROLNET[0], "sample": [2, 4, 32, 32]}, CONTROLNET[1])
    fewer: tuple[Shapes, Shapes] = (CONTROLNET[0], {"additional_residual_0": []})
    for name, (inputs, outputs) in {"Canny": CONTROLNET, "Small": smaller, "Other": fewer}.items():
        compiled(theirs / "controlnet" / f"{name}.mlmodelc", inputs, outputs)
    imported = import_model(theirs, models, name="controlled")
    assert imported.bundle.network("control_unet").name == "ControlledUnet.mlmodelc"
    assert list(imported.bundle.manifest.controlnets) == ["Canny"]
    assert imported.bundle.controlnet("Canny") == imported.bundle.path / "controlnet" / "Canny.mlmodelc"
    assert [warning.split()[2] for warning in imported.warnings] == ["Other", "Small"]
    verify(imported.bundle)

    plain = resources(theirs.parent / "plain")
    shutil.copytree(theirs / "controlnet", plain / "controlnet")
    imported = import_model(plain, models)
    assert imported.bundle.manifest.controlnets == {}
    assert len(imported.warnings) == 1


def test_mochi_links_the_controlnets_of_all_models(theirs: Path, models: Path) -> None:
    model = resources(theirs / "models" / "dreamy", ControlledUnet=CONTROLLED)
    compiled(theirs / "controlnet" / "Canny.mlmodelc", *CONTROLNET)
    (model / "controlnet").symlink_to(theirs / "controlnet")
    bundle = import_model(model, models, how="move").bundle
    assert list(bundle.manifest.controlnets) == ["Canny"]
    assert (theirs / "controlnet" / "Canny.mlmodelc" / "metadata.json").exists(), "other models have it too"


def test_the_hubs_cache_is_links(theirs: Path, models: Path) -> None:
    repository = theirs / "models--apple--coreml-dreamy"
    snapshot = repository / "snapshots" / ("0f" * 20)
    resources(snapshot / "original" / "compiled")
    blobs = repository / "blobs"
    blobs.mkdir()
    for number, file in enumerate(each for each in snapshot.rglob("*") if each.is_file()):
        file.rename(blobs / str(number))
        file.symlink_to(os.path.relpath(blobs / str(number), file.parent))
    bundle = import_model(snapshot, models).bundle
    assert bundle.path.name == "coreml-dreamy"
    assert not any(file.is_symlink() for file in bundle.path.rglob("*"))
    verify(bundle)


def test_a_bundle_of_ours_is_taken_as_it_is(tiny_bundle: Path, theirs: Path, models: Path) -> None:
    before = tree(tiny_bundle)
    same = import_model(tiny_bundle, models).bundle
    assert tree(same.path) == before
    assert not (same.path / "bundle.json").samefile(tiny_bundle / "bundle.json")
    named = import_model(tiny_bundle, models, name="other").bundle
    assert (named.name, named.hash) == ("other", same.hash)
    assert tree(tiny_bundle) == before

    mine = shutil.copytree(tiny_bundle, theirs / "mine")
    assert import_model(theirs, models, how="move").bundle.path == models / "mine"
    assert not mine.exists()


# ---- vocabularies --------------------------------------------------------------------------


def test_a_given_tokenizer_goes_first(tiny_bundle: Path, theirs: Path, models: Path) -> None:
    apple_folder(tiny_bundle, theirs)
    (theirs / "vocab.json").write_text("{")
    (theirs / "merges.txt").write_text("")
    with pytest.raises(BundleError, match=r"vocab\.json cannot be read"):
        import_model(theirs, models)
    bundle = import_model(theirs, models, tokenizer=tiny_bundle).bundle
    assert (bundle.path / "vocab.json").read_bytes() == (tiny_bundle / "vocab.json").read_bytes()


def test_clips_vocabulary_is_for_clip_alone(tiny_bundle: Path, theirs: Path, models: Path) -> None:
    apple_folder(tiny_bundle, theirs)
    with pytest.raises(BundleError, match=r"knows 556 tokens, .*49408, give its own with --tokenizer"):
        import_model(theirs, models)
    write_clip_tokenizer(theirs)
    with pytest.raises(BundleError, match="counts to 49407, but its text encoder knows 556 tokens"):
        import_model(theirs, models)
    with pytest.raises(BundleError, match=r"it has no vocab\.json"):
        import_model(theirs, models, tokenizer=models)


@pytest.mark.parametrize(("rows", "taken"), [(49408, True), (49410, False), (None, True)])
def test_what_a_compiled_text_encoder_knows(
    theirs: Path, models: Path, rows: int | None, taken: bool
) -> None:
    resources(theirs)
    shutil.rmtree(theirs / "TextEncoder.mlmodelc")
    compiled(theirs / "TextEncoder.mlmodelc", *SD["TextEncoder"], rows=rows)
    if taken:
        assert Tokenizer(import_model(theirs, models).bundle).encode("hello world").count == 2
    else:
        with pytest.raises(BundleError, match=f"knows {rows} tokens"):
            import_model(theirs, models)


def test_a_folder_says_what_it_is_padded_with(theirs: Path, models: Path) -> None:
    resources(theirs)
    write_clip_tokenizer(theirs)
    (theirs / "tokenizer_config.json").write_text('{"pad_token": {"content": "!"}}')
    assert import_model(theirs, models).bundle.manifest.pad_token == "!"


def test_a_folders_own_scheduler_is_kept(theirs: Path, models: Path) -> None:
    resources(theirs)
    (theirs / "scheduler").mkdir()
    (theirs / "scheduler" / "scheduler_config.json").write_text('{"beta_start": 0.5}')
    assert scheduler(import_model(theirs, models).bundle) == {"beta_start": 0.5}
    bundle = import_model(theirs, models, name="v", prediction="v_prediction").bundle
    assert scheduler(bundle) == {"beta_start": 0.5, "prediction_type": "v_prediction"}


# ---- refusals ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stem", "missing"),
    [("TextEncoder", "text encoder"), ("Unet", "unet"), ("VAEDecoder", "vae decoder")],
)
def test_an_incomplete_model(theirs: Path, models: Path, stem: str, missing: str) -> None:
    shutil.rmtree(resources(theirs) / f"{stem}.mlmodelc")
    with pytest.raises(BundleError, match=f"is not complete, it has no {missing},"):
        import_model(theirs, models)
    assert not models.exists() or not any(models.iterdir())


@pytest.mark.parametrize(
    ("stem", "inputs", "why"),
    [
        ("VAEEncoder", {"x": [1, 3, 768, 512]}, "different sizes: unet 512x512, .*vae encoder 512x768"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 4, 64, 96]}, "different sizes: unet 768x512"),
        ("Unet", {"sample": [2, 4, 64, 64], "timestep": [2]}, "has no input encoder_hidden_states"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 4, 64]}, r"the shape \[2, 4, 64\]"),
        ("Unet", {**SD["Unet"][0], "sample": []}, r"the shape \[\]"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 77, 768]}, "another layout than Apple's"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 1024, 1, 77]}, "768 numbers, .* takes 1024"),
        ("Unet", {**SD["Unet"][0], "encoder_hidden_states": [2, 768, 1, 80]}, "reads 77 tokens, its unet 80"),
        ("Unet", {**SD["Unet"][0], "sample": [2, 16, 64, 64]}, "16 channels, its vae decoder on 4"),
        ("VAEDecoder", {"latents": [1, 4, 64, 64]}, "vae decoder has no input z"),
        ("TextEncoder", {"tokens": [1, 77]}, "text encoder has no input input_ids"),
    ],
)
def test_networks_that_do_not_fit(theirs: Path, models: Path, stem: str, inputs: Shapes, why: str) -> None:
    resources(theirs, {**SD, stem: (inputs, SD[stem][1])})
    with pytest.raises(BundleError, match=why):
        import_model(theirs, models)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_unreadable_json(theirs: Path, models: Path, content: str) -> None:
    (resources(theirs) / "VAEDecoder.mlmodelc" / "metadata.json").write_text(content)
    with pytest.raises(NetworkError, match=r"VAEDecoder\.mlmodelc, its metadata\.json"):
        import_model(theirs, models)
    (theirs / "VAEDecoder.mlmodelc" / "metadata.json").unlink()
    with pytest.raises(NetworkError, match=r"model\.mil is missing"):
        import_model(theirs, models)


@pytest.mark.parametrize("place", ["Unet.mlmodelc/weights/weight.bin", "Unet.mlmodelc/new", "vocab.json"])
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("outside/secret", "leads out of the folder"),
        ("outside", "leads out of the folder"),
        ("theirs/nowhere", "leads nowhere"),
        ("theirs/VAEDecoder.mlmodelc", "a link to another folder"),
    ],
)
def test_links_out_of_the_folder(theirs: Path, models: Path, place: str, target: str, why: str) -> None:
    outside = theirs.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_text("{}")
    if why == "a link to another folder" and place == "vocab.json":
        return  # as good as none: a folder is no vocabulary
    link = resources(theirs) / place
    link.unlink(missing_ok=True)
    link.symlink_to(theirs.parent / target)
    if place == "vocab.json":
        (theirs / "merges.txt").touch()
    with pytest.raises(BundleError, match=why):
        import_model(theirs, models)
    assert not models.exists()


def test_a_pipe_is_not_waited_for(theirs: Path, models: Path) -> None:
    os.mkfifo(resources(theirs) / "Unet.mlmodelc" / "model.mil")
    with pytest.raises(BundleError, match="neither a file nor a folder"):
        import_model(theirs, models)


def test_a_bundle_of_ours_with_a_link_out(tiny_bundle: Path, theirs: Path, models: Path) -> None:
    bundle = shutil.copytree(tiny_bundle, theirs / "bundle")
    (bundle / "more.txt").symlink_to("/etc/hosts")
    with pytest.raises(BundleError, match="leads out"):
        import_model(bundle, models)
    assert list(models.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", ".hidden", "starter", "a\nb", "a\0b"])
def test_names_that_cannot_be(theirs: Path, models: Path, name: str) -> None:
    resources(theirs)
    if not name:  # is no name at all
        assert import_model(theirs, models, name=name).bundle.path.name == "theirs"
        return
    with pytest.raises(BundleError, match=r"(can|cannot) be called"):
        import_model(theirs, models, name=name)
    assert not models.exists()


@settings(max_examples=30)
@given(
    folder=st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40
    )
)
@example(folder="starter-2")
@example(folder="--move")
@example(folder=" ")
def test_a_model_is_found_again_whatever_its_folder_is_called(folder: str, tiny_bundle: Path) -> None:
    if folder in (".", "..") or folder.startswith("."):
        return
    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDTUI_HOME", f"{place}/home")
        theirs = with_vocabulary(tiny_bundle, resources(Path(place) / folder))
        bundle = import_model(theirs, places().models).bundle
        assert locate(reference(bundle)) == bundle.path
        assert bundle.path.parent == places().models
        assert not bundle.path.name.startswith(("-", "."))


def test_a_name_that_is_taken(theirs: Path, models: Path) -> None:
    resources(theirs)
    first = import_model(theirs, models).bundle
    before = tree(models)
    with pytest.raises(BundleError, match=f"there is a model {first.path}, give it a --name"):
        import_model(theirs, models)
    assert tree(models) == before


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("after", [0, 5, 11])
def test_nothing_is_left_behind(
    theirs: Path, models: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException, after: int
) -> None:
    """A full disk or an interrupt at any file."""
    resources(theirs)
    before = tree(theirs)
    put, written = shutil.copyfileobj, 0

    def failing(*arguments: Any) -> None:
        nonlocal written
        written += 1
        if written > after:
            raise failure
        put(*arguments)

    monkeypatch.setattr(shutil, "copyfileobj", failing)
    with pytest.raises((BundleError, KeyboardInterrupt)) as caught:
        import_model(theirs, models, how="copy")
    if isinstance(failure, OSError):
        assert "no space left on device" in str(caught.value)
    assert written == after + 1
    assert list(models.iterdir()) == []
    assert tree(theirs) == before


def test_a_full_disk_while_the_manifest_is_written(
    theirs: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(adoption_module, "write_manifest", full)
    with pytest.raises(BundleError, match="no space left on device, make room"):
        import_model(resources(theirs), models)
    assert list(models.iterdir()) == []


def test_what_a_killed_import_left_is_swept(theirs: Path, models: Path) -> None:
    old, new, converting = (
        models / name for name in (".sdtui-abcd_012", ".sdtui-abcd_013", ".sdtui-convert-x")
    )
    then = time.time() - LEFT_BEHIND - 10
    for folder in (old, new, converting):
        (folder / "half").mkdir(parents=True)
        (folder / "half" / "weight.bin").touch()
        if folder != new:
            for path in (folder / "half" / "weight.bin", folder / "half", folder):
                os.utime(path, (then, then))
    import_model(resources(theirs), models)
    assert not old.exists()
    assert new.exists(), "somebody may be at it"
    assert converting.exists(), "it will be gone on with"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
shapes = st.lists(st.integers(-2, 1 << 70) | st.floats(), max_size=5).map(json.dumps) | st.text(max_size=8)


@settings(max_examples=40)
@given(
    stem=st.sampled_from(sorted(SD)),
    field=st.sampled_from(
        ["specificationVersion", "mlProgramOperationTypeHistogram", "version", "inputSchema"]
    ),
    content=anything,
    shape=st.none() | shapes,
)
def test_whatever_metadata_says_is_taken_or_refused(
    stem: str, field: str, content: Any, shape: str | None, tiny_bundle: Path
) -> None:
    """A stranger's JSON can only lead to a bundle or to one line."""
    with tempfile.TemporaryDirectory() as folder:
        theirs = with_vocabulary(tiny_bundle, resources(Path(folder) / "theirs"))
        file = theirs / f"{stem}.mlmodelc" / "metadata.json"
        description = json.loads(file.read_text())
        if shape is None:
            description[0][field] = content
        else:
            description[0]["inputSchema"][0]["shape"] = shape
        file.write_text(json.dumps(description))
        with contextlib.suppress(SdtuiError):
            Bundle.open(import_model(theirs, Path(folder) / "models").bundle.path)
