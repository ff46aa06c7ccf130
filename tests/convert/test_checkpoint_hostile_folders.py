"""Checkpoint folders that are broken, lie, point elsewhere or change, and disks that are full."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sdtui.convert.checkpoint import safetensors_file
from sdtui.convert.checkpoint.checkpoint import open_checkpoint, open_component
from sdtui.convert.checkpoint.safetensors_file import write_tensors
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints, ldm
from tests.convert.hostile import refusal


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def _link_out(folder: Path) -> None:
    secret = folder.parent / "secret.safetensors"
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(secret)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").symlink_to(secret)


def _link_folder_out(folder: Path) -> None:
    (folder / "vae").rename(folder.parent / "elsewhere")
    (folder / "vae").symlink_to(folder.parent / "elsewhere")


def _link_tokenizer_out(folder: Path) -> None:
    (folder.parent / "elsewhere.json").write_text("{}")
    (folder / "tokenizer" / "tokenizer_config.json").symlink_to(folder.parent / "elsewhere.json")


def _circle(folder: Path) -> None:
    (folder / "unet" / "config.json").unlink()
    (folder / "unet" / "config.json").symlink_to("config.json")


def _pipe(folder: Path) -> None:
    (folder / "vae" / "config.json").unlink()
    os.mkfifo(folder / "vae" / "config.json")


def _folder_for_file(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "vae" / "diffusion_pytorch_model.safetensors").mkdir()


def _index_out(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").rename(folder / "stray.safetensors")
    index = {"weight_map": {"a": "../stray.safetensors"}}
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))


def _index_of_nothing(folder: Path) -> None:
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text('{"weight_map": []}')


def _written(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def _changed(name: str, **changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return change


def _removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


BROKEN: dict[str, tuple[Callable[[Path], None], str]] = {
    "a link out": (_link_out, "leads out of its folder"),
    "a folder that is a link out": (_link_folder_out, "leads out of its folder"),
    "a circle of links": (_circle, "cannot be read"),
    "a tokenizer that is a link out": (_link_tokenizer_out, "leads out of its folder"),
    "a pipe": (_pipe, "not a regular file"),
    "a folder for a file": (_folder_for_file, "not a regular file"),
    "an index that points out": (_index_out, "its index names"),
    "an index of nothing": (_index_of_nothing, "it lists no weights"),
    "no index": (_removed("model_index.json"), "no model_index.json"),
    "no scheduler": (_removed("scheduler/scheduler_config.json"), "no scheduler"),
    "no configuration": (_removed("unet/config.json"), "no unet/config.json"),
    "no weights": (_removed("unet/diffusion_pytorch_model.safetensors"), "no weights"),
    "other bytes": (_written("unet/config.json", b"\xff\xfe{}"), "not JSON"),
    "other JSON": (_written("unet/config.json", b"[]"), "not a JSON object"),
    "nested JSON": (_written("model_index.json", b"[" * 200_000), "not JSON"),
    "long numbers": (_written("unet/config.json", b'{"a":' + b"9" * 9999 + b"}"), "not JSON"),
    "a thousand million channels": (
        _changed("unet/config.json", block_out_channels=[10**9, 10**9]),
        "the unet",
    ),
    "a thousand million layers": (
        _changed("text_encoder/config.json", num_hidden_layers=10**9),
        "more layers than there are weights",
    ),
    "more layers than weights": (
        _changed("text_encoder/config.json", num_hidden_layers=30),
        "far more weights",
    ),
    "a thousand million blocks": (_changed("unet/config.json", layers_per_block=10**9), "more layers"),
    "a thousand million blocks in blocks": (
        _changed("unet/config.json", transformer_layers_per_block=[1, 10**9]),
        "more layers",
    ),
    "a thousand million words": (_changed("text_encoder/config.json", vocab_size=10**9), "not (1000000000"),
    "no channels": (_changed("unet/config.json", block_out_channels=[]), "the unet"),
    "channels as text": (_changed("unet/config.json", block_out_channels="wide"), "the unet"),
    "a number for a list": (_changed("vae/config.json", down_block_types=3), "the vae"),
    "blocks that are code": (_changed("unet/config.json", down_block_types=["os.system"] * 2), "the unet"),
    "layers as text": (_changed("text_encoder/config.json", num_hidden_layers="two"), "the text encoder"),
    "heads that do not divide": (
        _changed("text_encoder/config.json", num_attention_heads=7),
        "the text encoder",
    ),
    "a class of another kind": (
        _changed("model_index.json", unet=["os", "system"]),
        "its UNet is a system",
    ),
    "another family": (
        _changed("model_index.json", unet=["diffusers", "UNetSpatioTemporalConditionModel"]),
        "UNetSpatioTemporal",
    ),
    "another condition": (_changed("unet/config.json", addition_embed_type="image"), "conditioned on image"),
    "no networks": (_written("model_index.json", b"{}"), "neither a UNet nor a transformer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_folders(name: str, pipeline: Path, tmp_path: Path) -> None:
    spoil, why = BROKEN[name]
    spoil(pipeline)
    assert why in str(refusal(pipeline, tmp_path / "work"))


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([10**6, 10**9, 10**18, -(10**9), "", "relu", "os.system", "text_time", "projection"])
    | st.floats()
    | st.lists(st.integers(-1, 70) | st.sampled_from([10**9, "DownBlock2D", None]), max_size=4)
    | st.dictionaries(st.sampled_from(["a", "hidden_size"]), st.integers(), max_size=1)
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_configuration_surprises(data: st.DataObject, original: Path, tmp_path: Path) -> None:
    """Whatever settings are changed: a module is made, or refused in one line."""
    component = open_checkpoint(str(original), tmp_path).component(
        data.draw(st.sampled_from(["text_encoder", "unet", "vae"]))
    )
    names = sorted({*component.config, "transformer_layers_per_block", "addition_embed_type", "auto_map"})
    changes = data.draw(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=3))
    try:
        module = replace(component, config={**component.config, **changes}).module()
    except ConversionError as error:
        assert "\n" not in str(error)
    else:
        assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))


def test_absurd_sizes_take_no_memory(original: Path, tmp_path: Path) -> None:
    """In a process that may have 1 GB more than torch takes: none of these tries to allocate."""
    script = """
import resource, sys
from pathlib import Path
import diffusers, transformers
from sdtui.convert.checkpoint.checkpoint import open_checkpoint
from sdtui.convert.source import ConversionError
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
if sys.platform == "linux":
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 1_000_000_000,) * 2)
for source in sys.argv[2:]:
    try:
        checkpoint = open_checkpoint(source, Path(sys.argv[1]))
        [checkpoint.component(name).module() for name in checkpoint.components]
    except ConversionError as error:
        print(error)
"""
    sources = []
    absurd: tuple[tuple[str, dict[str, Any]], ...] = (
        ("unet", {"block_out_channels": [10**9, 10**9]}),
        ("unet", {"layers_per_block": 10**9}),
        ("unet", {"cross_attention_dim": 10**12}),
        ("text_encoder", {"max_position_embeddings": 10**12}),
        ("vae", {"latent_channels": 10**9, "norm_num_groups": 1}),
    )
    for index, (part, changes) in enumerate(absurd):
        folder = shutil.copytree(original, tmp_path / str(index))
        _changed(f"{part}/config.json", **changes)(folder)
        sources.append(str(folder))
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "work"), *sources],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == len(sources)
    assert "memory" not in done.stdout


def test_links_of_the_hub_cache_are_followed_within_it(original: Path, tmp_path: Path) -> None:
    cache = tmp_path / "models--org--model"
    snapshot = cache / "snapshots" / "0123"
    shutil.copytree(original, snapshot)
    (cache / "blobs").mkdir()
    weights = snapshot / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(cache / "blobs" / "abc")
    weights.symlink_to("../../../blobs/abc")
    assert open_checkpoint(str(snapshot), tmp_path / "work").component("unet").module() is not None
    component = open_component(str(snapshot / "unet"), tmp_path / "work", "unet")
    assert component.module() is not None
    weights.unlink()
    (tmp_path / "other").mkdir()
    (cache / "blobs" / "abc").rename(tmp_path / "other" / "abc")
    weights.symlink_to("../../../../other/abc")
    assert "leads out" in refusal(snapshot, tmp_path / "work").why


# ---- disks ---------------------------------------------------------------------------------


class FullDisk:
    """Lets a process write so many times, then no more."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def __call__(self, file: Path, *arguments: Any) -> None:
        self.left -= 1
        if self.left < 0:
            file.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write_tensors(file, *arguments)


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full at the first, the second ... file of an unpacked checkpoint."""
    single = tmp_path / "model.safetensors"
    networks = checkpoints.networks("sd", 300)
    save_file(ldm.unet(networks["unet"]) | ldm.vae(networks["vae"]), single)
    for writes in range(3):
        from sdtui.convert.checkpoint import single_file

        monkeypatch.setattr(single_file, "write_tensors", FullDisk(writes))
        work = tmp_path / f"work-{writes}"
        if writes < 2:
            error = refusal(single, work)
            assert error.why == "no space left on device"
            assert sorted(path.name for path in work.iterdir()) == [".lock"]
        else:
            open_checkpoint(str(single), work)


def test_no_room_at_any_byte(original: Path, tmp_path: Path) -> None:
    """The system itself refuses every write beyond a file size, in the middle of any tensor."""
    single = tmp_path / "model.safetensors"
    networks = checkpoints.networks("sd", 300)
    save_file(ldm.unet(networks["unet"]) | ldm.vae(networks["vae"]), single)
    pickled = shutil.copytree(original, tmp_path / "pickled")
    weights = pickled / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(weights), weights.with_suffix(".bin"))
    weights.unlink()
    lora = tmp_path / "lora.safetensors"
    save_file(
        {
            "unet.conv_in.lora_A.weight": torch.ones(1, 4, 3, 3),
            "unet.conv_in.lora_B.weight": torch.ones(32, 1, 1, 1),
        },
        lora,
    )
    script = """
import resource, signal, sys
from pathlib import Path
from sdtui.conversion import Fused
from sdtui.convert.checkpoint.checkpoint import open_checkpoint
from sdtui.convert.checkpoint.fusing import fuse, refuse_broken
from sdtui.convert.source import ConversionError
single, pickled, whole, lora, work = sys.argv[1:6]
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
ways = (
    lambda work: open_checkpoint(single, work),
    lambda work: open_checkpoint(pickled, work),
    lambda work: fuse(open_checkpoint(whole, work), [Fused(lora)], [], work),
)
for index, way in enumerate(ways):
    for size in (0, 1, 7, 1000, 50_000, 1_000_000, 3_000_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
        folder = Path(work) / f"{index}-{size}"
        try:
            way(folder)
            print("written")
        except ConversionError as error:
            left = sorted(path.name for path in folder.iterdir())
            print(error.why, left, flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, (single, pickled, original, lora, tmp_path / "work"))],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["file too large ['.lock']"] * 21


def test_a_process_that_is_killed_while_it_unpacks(tmp_path: Path) -> None:
    single = tmp_path / "model.safetensors"
    networks = checkpoints.networks("sd", 300)
    save_file(ldm.unet(networks["unet"]) | ldm.vae(networks["vae"]), single)
    script = """
import sys
from pathlib import Path
from sdtui.convert.checkpoint import single_file
from sdtui.convert.checkpoint.checkpoint import open_checkpoint
def half(file, tensors):
    file.write_bytes(b"half")
    print("half", flush=True)
    sys.stdin.read()
single_file.write_tensors = half
open_checkpoint(sys.argv[1], Path(sys.argv[2]))
"""
    with subprocess.Popen(
        [sys.executable, "-c", script, str(single), str(tmp_path / "work")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.kill()
    assert list((tmp_path / "work").glob(".sdtui-*"))
    module = open_checkpoint(str(single), tmp_path / "work").component("unet").module()
    for name, tensor in networks["unet"].state_dict().items():
        assert torch.equal(module.state_dict()[name], tensor)
    assert not list((tmp_path / "work").glob(".sdtui-*"))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_tensors(file, {"a": torch.ones(1000)})
    deferred = safetensors_file.deferred_tensors(file)
    os.truncate(file, 500)
    with pytest.raises(ConversionError, match="became shorter"):
        write_tensors(tmp_path / "copy.safetensors", deferred)
