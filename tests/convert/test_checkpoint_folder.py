"""Diffusers folders become torch modules whose weights stay on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sdtui.convert.checkpoint.checkpoint import Kind, open_checkpoint, open_component
from sdtui.convert.checkpoint.component import Component
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints
from tests.tiny import write_tokenizer

FAMILIES = {"sd": "sd", "sd2": "sd", "sdxl": "sdxl", "sdxl-refiner": "sdxl-refiner", "sd3": "sd3"}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> int:
    return len(write_tokenizer(tmp_path_factory.mktemp("vocabulary")))


@pytest.fixture
def pipeline(tmp_path: Path, vocabulary: int) -> Path:
    """A Stable Diffusion 1 folder in float16."""
    return checkpoints.save_folder(
        tmp_path / "model", "sd", checkpoints.networks("sd", vocabulary), torch.float16
    )


def refusal(source: Path, workspace: Path) -> ConversionError:
    """Why ``source`` cannot be opened, or one of its modules not be made; one line."""
    with pytest.raises(ConversionError) as caught:
        checkpoint = open_checkpoint(str(source), workspace)
        for name in checkpoint.components:
            checkpoint.component(name).module()
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_modules_are_those_that_were_saved(
    family: str, dtype: torch.dtype, tmp_path: Path, vocabulary: int
) -> None:
    networks = checkpoints.networks(family, vocabulary)
    if family == "sd":
        networks |= {
            "safety_checker": checkpoints.safety_checker(),
            "controlnet": checkpoints.controlnet(),
        }
    source = checkpoints.save_folder(tmp_path / "model", family, networks, dtype)
    checkpoint = open_checkpoint(str(source), tmp_path / "work")
    assert checkpoint.family == FAMILIES[family]
    assert set(checkpoint.components) == set(networks)
    for name, network in networks.items():
        component = checkpoint.component(name)
        module = component.module()
        assert type(module) is type(network)
        assert not module.training
        assert {parameter.dtype for parameter in module.parameters()} == {dtype}
        expected, found = network.state_dict(), module.state_dict()
        assert expected.keys() == found.keys()
        for key in expected:
            assert torch.equal(found[key].float(), expected[key].to(dtype).float()), key
        for key, buffer in network.named_buffers():
            made = module.get_buffer(key)
            assert made.dtype == (torch.float32 if buffer.is_floating_point() else buffer.dtype)
            assert torch.allclose(made, buffer, atol=2e-2 if dtype == torch.bfloat16 else 1e-3)
        distinct = {each.data_ptr(): each.numel() for each in expected.values()}  # T5's table is there twice
        stored = sum(distinct.values())
        assert component.parameters == stored
        assert component.bytes > stored * dtype.itemsize
    for name in (name for name in networks if name.startswith("text_")):
        assert checkpoint.tokenizer(name.replace("text_encoder", "tokenizer")).is_dir()


def test_buffers_without_a_file_are_computed() -> None:
    """SD3's positions are stored, but a file may leave them out where diffusers computes them."""
    from diffusers.models.embeddings import PatchEmbed

    from sdtui.convert.checkpoint.component import _fill_buffers

    made = PatchEmbed(16, 16, 2, 4, 32, pos_embed_max_size=12)
    with torch.device("meta"):
        bare = PatchEmbed(16, 16, 2, 4, 32, pos_embed_max_size=12)
    _fill_buffers(bare)
    assert torch.equal(made.pos_embed, bare.pos_embed)


def test_scheduler_and_name(pipeline: Path, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(str(pipeline), tmp_path / "work")
    assert checkpoint.name == "model"
    assert checkpoint.scheduler_config["_class_name"] == "PNDMScheduler"
    with pytest.raises(ConversionError, match="has no transformer"):
        checkpoint.component("transformer")
    with pytest.raises(ConversionError, match="has no tokenizer 2"):
        checkpoint.tokenizer("tokenizer_2")


def test_networks_that_were_deleted_are_left_out(pipeline: Path, tmp_path: Path) -> None:
    index = pipeline / "model_index.json"
    checker = {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"]}
    index.write_text(json.dumps(json.loads(index.read_text()) | checker))
    checkpoint = open_checkpoint(str(pipeline), tmp_path / "work")
    assert checkpoint.components == ("text_encoder", "unet", "vae")
    assert checkpoint.warnings == ("the safety checker is not in its folder",)


def test_fingerprint_changes_with_weights_and_settings_only(pipeline: Path, tmp_path: Path) -> None:
    def fingerprint() -> str:
        return open_checkpoint(str(pipeline), tmp_path / "work").component("unet").fingerprint()

    first = fingerprint()
    (pipeline / "unet" / "readme.txt").write_text("nothing")
    assert fingerprint() == first
    config = pipeline / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"sample_size": 16}))
    second = fingerprint()
    weights = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, weights)
    assert len({first, second, fingerprint()}) == 3


@pytest.mark.parametrize("prefix", [True, False])
def test_text_encoders_of_both_transformers(pipeline: Path, tmp_path: Path, prefix: bool) -> None:
    """transformers 5 dropped ``text_model.``; older files also hold positions that are no weights."""
    weights = pipeline / "text_encoder" / "model.safetensors"
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in load_file(weights).items()}
    tensors["embeddings.position_ids"] = torch.arange(16)[None]
    save_file({"text_model." * prefix + name: tensor for name, tensor in tensors.items()}, weights)
    module = open_checkpoint(str(pipeline), tmp_path / "work").component("text_encoder").module()
    name = "final_layer_norm.weight"
    assert torch.equal(module.state_dict()[name], tensors[name])


def test_safety_checker_of_transformers_4(tmp_path: Path) -> None:
    """It said ``vision_model`` twice."""
    checker = checkpoints.safety_checker()
    expected = {name: tensor.clone() for name, tensor in checker.state_dict().items()}
    checker.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    doubled = {
        f"vision_model.{name}" if name.startswith("vision_model.") else name: tensor
        for name, tensor in expected.items()
    }
    save_file(doubled | {"vision_model.vision_model.embeddings.position_ids": torch.arange(5)}, weights)
    config = json.loads((tmp_path / "config.json").read_text())
    module = Component("safety_checker", type(checker).__name__, tmp_path, config, (weights,)).module()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in module.state_dict().items())


def test_vae_with_the_old_names_of_attention(pipeline: Path, tmp_path: Path) -> None:
    weights = pipeline / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, former in old.items():
            name = name.replace(f".{new}.", f".{former}.")
        renamed[name] = tensor[:, :, None, None] if name.endswith("query.weight") else tensor.clone()
    assert renamed.keys() != tensors.keys()
    save_file(renamed, weights)
    module = open_checkpoint(str(pipeline), tmp_path / "work").component("vae").module()
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, tensors[name])


def test_variant_and_shards(pipeline: Path, tmp_path: Path) -> None:
    expected = load_file(pipeline / "unet" / "diffusion_pytorch_model.safetensors")
    plain = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    plain.rename(pipeline / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    module = open_checkpoint(str(pipeline), tmp_path / "work").component("unet").module()
    assert torch.equal(module.state_dict()["conv_in.weight"], expected["conv_in.weight"])

    (pipeline / "unet" / "diffusion_pytorch_model.fp16.safetensors").unlink()
    names = sorted(expected)
    halves = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for file, part in halves.items():
        save_file({name: expected[name] for name in part}, pipeline / "unet" / file)
    index = {"weight_map": {name: file for file, part in halves.items() for name in part}}
    (pipeline / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    module = open_checkpoint(str(pipeline), tmp_path / "work").component("unet").module()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in module.state_dict().items())

    (pipeline / "unet" / "b.safetensors").unlink()
    assert "b.safetensors is missing" in refusal(pipeline, tmp_path / "work").why


def test_pickled_weights_are_read_where_there_are_no_others(pipeline: Path, tmp_path: Path) -> None:
    plain = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    expected = load_file(plain)
    plain.unlink()
    pickled = pipeline / "unet" / "diffusion_pytorch_model.bin"
    for old_format in (False, True):
        torch.save(expected, pickled, _use_new_zipfile_serialization=not old_format)
        component = open_checkpoint(str(pipeline), tmp_path / "work").component("unet")
        assert component.files[0].is_relative_to(tmp_path / "work")
        assert all(
            torch.equal(tensor, expected[name]) for name, tensor in component.module().state_dict().items()
        )
    again = open_checkpoint(str(pipeline), tmp_path / "work").component("unet")
    assert again.fingerprint() == component.fingerprint()


@pytest.mark.parametrize("kind", ["unet", "vae", "controlnet"])
def test_components_alone(kind: Kind, tmp_path: Path) -> None:
    network = {
        "unet": checkpoints.unet,
        "vae": checkpoints.vae,
        "controlnet": checkpoints.controlnet,
    }[kind]()
    network.save_pretrained(tmp_path / "alone")
    component = open_component(str(tmp_path / "alone"), tmp_path / "work", kind)
    assert type(component.module()) is type(network)
    other: Kind = "vae" if kind == "unet" else "unet"
    with pytest.raises(ConversionError, match="is wanted"):
        open_component(str(tmp_path / "alone"), tmp_path / "work", other)


def test_component_of_a_pipeline(pipeline: Path, tmp_path: Path) -> None:
    component = open_component(str(pipeline), tmp_path / "work", "unet")
    assert component.fingerprint() == (
        open_checkpoint(str(pipeline), tmp_path / "work").component("unet").fingerprint()
    )


def test_opening_a_large_file_takes_no_memory(tmp_path: Path) -> None:
    """800 MB of weights (a sparse file): the process grows by less than a tenth of them."""
    from sdtui.convert.checkpoint.safetensors_file import write_tensors

    folder = tmp_path / "t5"
    module = checkpoints.t5()
    module.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    rows = 800_000_000 // (2 * config["d_model"])
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": rows}))
    weights = folder / "model.safetensors"
    tensors = {name: torch.empty_like(tensor) for name, tensor in load_file(weights).items()}
    tensors["shared.weight"] = torch.empty(0, config["d_model"], dtype=torch.float16)
    weights.unlink()
    write_tensors(weights, tensors)
    _enlarge_last(weights, "shared.weight", rows)
    script = """
import psutil, sys
from pathlib import Path
import transformers, diffusers
from sdtui.convert.checkpoint.folder import read_component
from sdtui.convert.checkpoint.checkpoint import silent
read_component(Path(sys.argv[2]), "", Path(sys.argv[3]), silent).module()
before = psutil.Process().memory_info().rss
module = read_component(Path(sys.argv[1]), "", Path(sys.argv[3]), silent).module()
assert module.shared.weight.numel() * 2 > 790_000_000
assert float(module.shared.weight[-1].abs().sum()) == 0
print(psutil.Process().memory_info().rss - before)
"""
    small = tmp_path / "small"
    checkpoints.t5().save_pretrained(small)
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(small), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 40_000_000


def _enlarge_last(file: Path, name: str, rows: int) -> None:
    """Let the empty tensor ``name``, the last in ``file``, have ``rows`` rows of zeros, as a hole."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    entry = header[name]
    entry["shape"][0] = rows
    entry["data_offsets"][1] += rows * entry["shape"][1] * 2
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    os.truncate(file, 8 + len(text) + entry["data_offsets"][1])
