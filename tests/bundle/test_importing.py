"""A folder that somebody else made becomes a bundle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from coremltools.models.utils import bisect_model

from sdtui.bundle import Bundle, BundleError, verify
from sdtui.bundle.clip import write_clip_tokenizer
from sdtui.bundle.importing import How, import_model
from sdtui.bundle.latent_colours import published_colours
from sdtui.bundle.linking import place_file
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.diffusion.pipeline import Pipeline
from sdtui.request import GenerationRequest
from tests.bundle.foreign import (
    SD,
    Shapes,
    apple_folder,
    compiled,
    compiled_resources,
    resources,
    tree,
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


def scheduler(bundle: Bundle) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((bundle.path / "scheduler_config.json").read_text())
    return content


def clones(folder: Path) -> bool:
    """Whether the file system there clones files, so that hard links are not needed."""
    (folder / "probe").touch()
    place_file(folder / "probe", folder / "probe-2")
    return (folder / "probe").stat().st_nlink == 1


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
