"""Networks have the inputs and outputs that Apple's users know, and mean by them what the originals do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sdtui.convert.accuracy import psnr
from sdtui.convert.networks.conditions import Shape
from sdtui.convert.networks.controlnet import controlnet
from sdtui.convert.networks.mmdit import mmdit
from sdtui.convert.networks.projection import text_projection
from sdtui.convert.networks.safety import safety_checker
from sdtui.convert.networks.t5 import t5_text_encoder
from sdtui.convert.networks.text import clip_text_encoder, clip_text_encoder_xl
from sdtui.convert.networks.unet import control_unet, unet
from sdtui.convert.networks.vae import vae_decoder, vae_encoder
from sdtui.convert.source import PROBED_TIMESTEPS, ConversionError, Source
from tests.convert import architectures
from tests.convert.architectures import BOS, EOS, POOLED, REFINER, SDXL, SHAPE, TOKENS

Sizes = dict[str, tuple[int, ...]]

UNET_INPUTS: Sizes = {"sample": (2, 4, 8, 8), "timestep": (2,), "encoder_hidden_states": (2, 12, 1, TOKENS)}
RESIDUALS: Sizes = {
    "additional_residual_0": (2, 8, 8, 8),
    "additional_residual_1": (2, 8, 8, 8),
    "additional_residual_2": (2, 8, 4, 4),
    "additional_residual_3": (2, 16, 4, 4),
    "additional_residual_4": (2, 16, 4, 4),
}
MMDIT_INPUTS: Sizes = {
    "latent_image_embeddings": (2, 4, 8, 8),
    "token_level_text_embeddings": (2, 24, 1, TOKENS),
    "pooled_text_embeddings": (2, POOLED, 1, 1),
    "timestep": (2,),
}

CONTRACT: dict[str, tuple[Callable[[], Source], Sizes, Sizes]] = {
    "text_encoder": (
        lambda: clip_text_encoder(architectures.clip(), BOS, EOS, TOKENS),
        {"input_ids": (1, TOKENS)},
        {
            "last_hidden_state": (1, TOKENS, 16),
            "pooled_outputs": (1, 16),
            "penultimate_hidden_state": (1, TOKENS, 16),
        },
    ),
    "text_encoder of sdxl": (
        lambda: clip_text_encoder_xl(architectures.clip(), BOS, EOS, EOS, TOKENS),
        {"input_ids": (1, TOKENS)},
        {"hidden_embeds": (1, TOKENS, 16), "pooled_outputs": (1, 16)},
    ),
    "text_encoder_2": (
        lambda: clip_text_encoder_xl(
            architectures.clip_with_projection(), BOS, EOS, 0, TOKENS, "text_encoder_2"
        ),
        {"input_ids": (1, TOKENS)},
        {"hidden_embeds": (1, TOKENS, 16), "pooled_outputs": (1, POOLED)},
    ),
    "text_encoder_3": (
        lambda: t5_text_encoder(architectures.t5(), TOKENS),
        {"input_ids": (1, TOKENS), "attention_mask": (1, TOKENS)},
        {"encoder_hidden_states": (1, 16, 1, TOKENS)},
    ),
    "unet": (lambda: unet(architectures.unet(), SHAPE), UNET_INPUTS, {"noise_pred": (2, 4, 8, 8)}),
    "unet for inpainting": (
        lambda: unet(architectures.unet(in_channels=9), Shape(8, 6, 5, 1)),
        {"sample": (1, 9, 8, 6), "timestep": (1,), "encoder_hidden_states": (1, 12, 1, 5)},
        {"noise_pred": (1, 4, 8, 6)},
    ),
    "unet of sdxl": (
        lambda: unet(architectures.unet(**SDXL), SHAPE, pooled_size=POOLED),
        {**UNET_INPUTS, "time_ids": (2, 6), "text_embeds": (2, POOLED)},
        {"noise_pred": (2, 4, 8, 8)},
    ),
    "unet of a distilled model": (
        lambda: unet(architectures.unet(time_cond_proj_dim=6), SHAPE),
        {**UNET_INPUTS, "timestep_cond": (2, 6)},
        {"noise_pred": (2, 4, 8, 8)},
    ),
    "refiner": (
        lambda: unet(architectures.unet(**REFINER), SHAPE, pooled_size=POOLED),
        {**UNET_INPUTS, "time_ids": (2, 5), "text_embeds": (2, POOLED)},
        {"noise_pred": (2, 4, 8, 8)},
    ),
    "control_unet": (
        lambda: control_unet(architectures.unet(), SHAPE),
        {**UNET_INPUTS, **RESIDUALS},
        {"noise_pred": (2, 4, 8, 8)},
    ),
    "controlnet": (
        lambda: controlnet(architectures.controlnet(), SHAPE),
        {**UNET_INPUTS, "controlnet_cond": (2, 3, 64, 64)},
        RESIDUALS,
    ),
    "vae_decoder": (
        lambda: vae_decoder(architectures.vae(), 4, 6),
        {"z": (1, 4, 4, 6)},
        {"image": (1, 3, 32, 48)},
    ),
    "vae_encoder": (
        lambda: vae_encoder(architectures.vae(), 32, 48),
        {"x": (1, 3, 32, 48)},
        {"latent": (1, 8, 4, 6)},
    ),
    "mmdit": (
        lambda: mmdit(architectures.mmdit(), SHAPE),
        MMDIT_INPUTS,
        {"denoiser_output": (2, 4, 8, 8)},
    ),
    "safety_checker": (
        lambda: safety_checker(architectures.safety_checker(), 6, 4),
        {"clip_input": (1, 3, 32, 32), "images": (1, 6, 4, 3), "adjustment": (1,)},
        {"filtered_images": (1, 6, 4, 3), "has_nsfw_concepts": (1, 1, 1, 1), "concept_scores": (1, 17)},
    ),
}


@pytest.mark.parametrize("kind", CONTRACT)
def test_inputs_and_outputs(kind: str) -> None:
    build, inputs, outputs = CONTRACT[kind]
    source = build()
    assert source.role == kind.partition(" ")[0]
    for probe in source.probes:
        assert [(name, array.shape) for name, array in probe.items()] == list(inputs.items())
        assert {array.dtype for array in probe.values()} == {np.dtype(np.float32)}
        answer = source.predict(probe)
        assert [(name, array.shape) for name, array in answer.items()] == list(outputs.items())
        assert all(np.isfinite(array).all() for array in answer.values())


@pytest.mark.parametrize("kind", ["unet", "unet of sdxl", "refiner", "control_unet", "controlnet", "mmdit"])
def test_denoisers_are_probed_early_and_late(kind: str) -> None:
    assert tuple(probe["timestep"][0] for probe in CONTRACT[kind][0]().probes) == PROBED_TIMESTEPS


@pytest.mark.parametrize(
    ("overrides", "shape"), [({}, Shape(7, 9)), ({"downsample_padding": 0}, Shape(7, 9)), (SDXL, SHAPE)]
)
def test_residuals_are_those_of_the_skips(overrides: dict[str, Any], shape: Shape) -> None:
    """Each has the shape of what it is added to: what the UNet's layers gave on the way down."""
    network = architectures.unet(**overrides)
    seen: list[tuple[int, ...]] = []

    def record(_module: nn.Module, _inputs: object, output: Any) -> None:
        skips = output[1] if isinstance(output, tuple) else [output]
        seen.extend(tuple(skip.shape) for skip in skips)

    for layer in (network.conv_in, *network.down_blocks, network.mid_block):
        layer.register_forward_hook(record)
    plain = unet(network, shape, pooled_size=POOLED)
    plain.predict(plain.probes[0])
    controlled = control_unet(network, shape, pooled_size=POOLED).probes[0]
    assert [array.shape for name, array in controlled.items() if "residual" in name] == seen


def test_residuals_of_zero_change_nothing_and_others_do() -> None:
    network = architectures.unet()
    plain, controlled = unet(network, SHAPE), control_unet(network, SHAPE)
    probe = controlled.probes[0]
    expected = plain.predict(plain.probes[0])["noise_pred"]
    none = {name: array * ("residual" not in name) for name, array in probe.items()}
    assert psnr(expected, controlled.predict(none)["noise_pred"]) >= 130
    for name in RESIDUALS:
        one = {**none, name: probe[name]}
        assert psnr(expected, controlled.predict(one)["noise_pred"]) < 60


# ---- text ----------------------------------------------------------------------------------


def test_hidden_embeds_go_into_the_last_layer() -> None:
    module = architectures.clip()
    seen: list[Tensor] = []
    module.encoder.layers[-1].register_forward_pre_hook(
        lambda _module, inputs, keywords: seen.append(inputs[0] if inputs else keywords["hidden_states"]),
        with_kwargs=True,
    )
    source = clip_text_encoder_xl(module, BOS, EOS, EOS, TOKENS)
    assert np.array_equal(source.predict(source.probes[0])["hidden_embeds"], seen[0].numpy())


@pytest.mark.parametrize("configured", [EOS, 2])
def test_prompts_are_pooled_at_their_end(configured: int) -> None:
    """A configuration with 2 there makes CLIP pool at the highest token, here a textual inversion's."""
    inverted = EOS + 1
    module = architectures.clip(vocab_size=EOS + 2, eos_token_id=configured)
    ids = np.full((1, TOKENS), EOS, np.float32)
    ids[0, :3] = BOS, inverted, 5
    answer = clip_text_encoder(module, BOS, EOS, TOKENS).predict({"input_ids": ids})
    assert np.array_equal(answer["pooled_outputs"][0], answer["last_hidden_state"][0, 3])


def test_text_encoders_are_transformers_own() -> None:
    module = architectures.clip_with_projection()
    source = clip_text_encoder_xl(module, BOS, EOS, 0, TOKENS)
    for probe in source.probes:
        with torch.no_grad():
            expected = module(torch.from_numpy(probe["input_ids"]).long(), output_hidden_states=True)
        found = source.predict(probe)
        assert psnr(expected.hidden_states[-2].numpy(), found["hidden_embeds"]) >= 120
        assert psnr(expected.text_embeds.numpy(), found["pooled_outputs"]) >= 120


def test_clip_skip_leaves_the_last_layer_out() -> None:
    """As diffusers' ``encode_prompt`` has it: the final layer norm of an earlier layer's states."""
    module = architectures.clip()
    source = clip_text_encoder(module, BOS, EOS, TOKENS)
    with torch.no_grad():
        ids = torch.from_numpy(source.probes[0]["input_ids"]).long()
        states = module(ids, output_hidden_states=True).hidden_states[-2]
        expected = getattr(module, "text_model", module).final_layer_norm(states)
    assert psnr(expected.numpy(), source.predict(source.probes[0])["penultimate_hidden_state"]) >= 120


def test_fewer_tokens_than_clip_has_positions() -> None:
    module = architectures.clip()
    source = clip_text_encoder(module, BOS, EOS, 5)
    probe = source.probes[0]
    with torch.no_grad():
        expected = module(torch.from_numpy(probe["input_ids"]).long())
    assert probe["input_ids"].shape == (1, 5)
    found = source.predict(probe)["last_hidden_state"]
    assert psnr(expected.last_hidden_state.numpy(), found) >= 120


@pytest.mark.parametrize("overrides", [{}, {"feed_forward_proj": "relu"}], ids=["gated", "relu"])
def test_t5_is_transformers_own(overrides: dict[str, Any]) -> None:
    module = architectures.t5(**overrides)
    source = t5_text_encoder(module, TOKENS)
    again = t5_text_encoder(module, TOKENS)  # the module is not changed
    for probe in source.probes:
        ids, mask = (torch.from_numpy(array).long() for array in probe.values())
        real = int(mask.sum())
        with torch.no_grad():
            expected = module(ids, attention_mask=mask).last_hidden_state[0, :real].T.numpy()
        for each in (source, again):
            found = each.predict(probe)["encoder_hidden_states"][0, :, 0, :real]
            assert psnr(expected, found) >= 110


def test_padding_says_nothing() -> None:
    source = t5_text_encoder(architectures.t5(), TOKENS)
    ids = source.probes[-1]["input_ids"].copy()
    mask = (np.arange(TOKENS) < 4).astype(np.float32)[None]
    first = source.predict({"input_ids": ids.copy(), "attention_mask": mask})["encoder_hidden_states"]
    ids[0, 4:] = 7
    second = source.predict({"input_ids": ids, "attention_mask": mask})["encoder_hidden_states"]
    assert np.array_equal(first[..., :4], second[..., :4])
    assert not np.array_equal(first[..., 4:], second[..., 4:])


# ---- the others ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ({"scaling_factor": 0.13025}, True),
        ({"scaling_factor": 0.13025, "force_upcast": False}, False),
        ({"scaling_factor": 0.18215}, False),
    ],
    ids=["sdxl", "sdxl-vae-fp16-fix", "sd1"],
)
def test_the_vae_of_sdxl_needs_float32(overrides: dict[str, Any], expected: bool) -> None:
    vae = architectures.vae(**overrides)
    assert vae_decoder(vae, 4, 4).needs_fp32 == vae_encoder(vae, 32, 32).needs_fp32 == expected


def test_the_safety_checker_is_diffusers_own() -> None:
    checker = architectures.safety_checker()
    source = safety_checker(checker, 6, 4)
    probe, careful = source.probes
    shown = source.predict(probe)["concept_scores"] + 1.1  # the cosines
    for lowest, found in ((0.02, 0), (0.005, 0), (-0.02, 1)):
        checker.concept_embeds_weights.copy_(torch.from_numpy(shown[0] + lowest))
        images, flags = checker.forward_onnx(
            torch.from_numpy(probe["clip_input"]), torch.tensor(probe["images"])
        )
        answer = source.predict(probe)
        assert answer["has_nsfw_concepts"].item() == found == float(flags[0])
        assert np.array_equal(answer["filtered_images"], images.numpy())
        assert answer["concept_scores"] == pytest.approx(np.full((1, 17), -lowest), abs=1e-5)
        raised = source.predict(careful)  # every special concept is found: all scores rise by 0.01
        assert raised["concept_scores"] == pytest.approx(np.full((1, 17), 0.01 - lowest), abs=1e-5)
        assert raised["has_nsfw_concepts"].item() == (lowest < 0.01)


def test_a_text_projection_is_a_linear_layer(tmp_path: Path) -> None:
    weight, bias = torch.randn(6, 4), torch.randn(6)
    save_file({"weight": weight, "bias": bias}, tmp_path / "p.safetensors")
    source = text_projection(tmp_path / "p.safetensors")
    probe = source.probes[0]
    given = probe["nlcontextualembeddings_output"]
    assert given.shape == (1, 256, 4)
    found = source.predict(probe)["encoder_hidden_states"]
    assert found.shape == (1, 6, 1, 256)
    expected = given[0] @ weight.numpy().T + bias.numpy()
    assert psnr(expected.T, found[0, :, 0]) >= 120


@pytest.mark.parametrize(
    ("tensors", "why"),
    [
        ({}, "one linear layer"),
        ({"a": torch.ones(2, 2), "b": torch.ones(2, 2)}, "one linear layer"),
        ({"a": torch.ones(2, 2, 2)}, "one linear layer"),
        ({"a": torch.ones(2, 2, dtype=torch.int32)}, "integers"),
        ({"a": torch.ones(2, 2), "b": torch.ones(3)}, "3 biases do not go with 2 outputs"),
    ],
)
def test_other_files_are_no_projection(tensors: dict[str, Tensor], why: str, tmp_path: Path) -> None:
    save_file(tensors, tmp_path / "p.safetensors")
    with pytest.raises(ConversionError, match=why):
        text_projection(tmp_path / "p.safetensors")


@pytest.mark.parametrize("content", [None, b"", b"\x80\x04pickle", b"\xff" * 64])
def test_a_projection_that_cannot_be_read(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "p.safetensors").write_bytes(content)
    with pytest.raises(ConversionError, match=r"p\.safetensors cannot be converted"):
        text_projection(tmp_path / "p.safetensors")


REFUSED: dict[str, Callable[[], Source]] = {
    "class_embed_type": lambda: unet(architectures.unet(class_embed_type="timestep"), SHAPE),
    "addition_embed_type text": lambda: unet(
        architectures.unet(addition_embed_type="text", encoder_hid_dim=12), SHAPE
    ),
    "12 channels, not 13": lambda: unet(architectures.unet(), SHAPE, text_hidden_size=13),
    "pooled text of 1280 numbers": lambda: unet(architectures.unet(**SDXL), SHAPE),
    "above 12": lambda: mmdit(architectures.mmdit(), Shape(14, 8)),
    "cannot be cut": lambda: mmdit(architectures.mmdit(), Shape(7, 8)),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_no_pipeline_gives_is_refused(why: str) -> None:
    with pytest.raises(ConversionError, match=why):
        REFUSED[why]()
