"""Hub names, against a real server and the real huggingface_hub in processes of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sdtui.convert.checkpoint.hub import needed, weights
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints
from tests.convert.hub_server import Hub, serve
from tests.tiny import write_tokenizer

SCRIPT = """
import json, sys
from pathlib import Path
from sdtui.convert.checkpoint.hub import download
from sdtui.errors import SdtuiError
for source, *kind in json.loads(sys.argv[1]):
    told = []
    try:
        found = download(source, lambda stage, done: told.append((stage, done)), *kind)
        print(json.dumps({"path": str(found), "told": told}))
    except SdtuiError as error:
        print(json.dumps({"error": str(error)}))
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline as authors upload it: two precisions, pickles, and files that nobody needs."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("repository")
    vocabulary = len(write_tokenizer(tmp_path_factory.mktemp("vocabulary")))
    networks = checkpoints.networks("sd", vocabulary)
    checkpoints.save_folder(folder, "sd", networks, torch.float16)
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    unet.rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    networks["unet"].save_pretrained(folder / "unet")  # type: ignore[operator]
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    (folder / "vae" / "model.onnx").write_bytes(bytes(1000))
    (folder / "README.md").write_text("A model.")
    return folder


@pytest.fixture
def hub(repository: Path) -> Iterator[Hub]:
    with serve(Hub({"org/model": repository})) as hub:
        yield hub


def run(hub: Hub, home: Path, *sources: tuple[str, ...], **environment: str) -> list[dict[str, Any]]:
    """What a new process finds for each of ``sources``, a name and perhaps a kind."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(sources)],
        capture_output=True,
        text=True,
        timeout=100,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(home),
            "PYTHONPATH": str(Path(__file__).parents[2]),
            **environment,
        },
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert not any("\n" in result.get("error", "") for result in results)
    return results


MODEL = ("org/model",)


def test_what_is_needed_is_downloaded_once(hub: Hub, tmp_path: Path) -> None:
    result, again = run(hub, tmp_path, MODEL, MODEL, HF_TOKEN="hf_secret")
    folder = Path(result["path"])
    assert hub.downloaded == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "text_encoder/model.safetensors",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
    }
    assert hub.tokens == {"Bearer hf_secret"}
    stages, done = zip(*result["told"], strict=True)
    assert set(stages) == {"downloading org/model"}
    assert list(done) == sorted(done)
    assert 0.99 < done[-1] <= 1

    # the cache holds links into its blobs: they are followed there, and only there
    from sdtui.convert.checkpoint.checkpoint import open_checkpoint

    checkpoint = open_checkpoint(str(folder), tmp_path / "work")
    assert checkpoint.name == "org/model"
    assert next(checkpoint.component("unet").module().parameters()).dtype == torch.float16

    assert again == {"path": str(folder), "told": []}
    hub.requests.clear()
    assert run(hub, tmp_path, MODEL, HF_HUB_OFFLINE="1")[0]["path"] == str(folder)
    assert not hub.requests
    assert run(hub, tmp_path, MODEL, HF_ENDPOINT="http://127.0.0.1:9")[0]["path"] == str(folder)


def test_one_network_and_one_file(hub: Hub, tmp_path: Path) -> None:
    net = tmp_path / "net"
    checkpoints.controlnet().save_pretrained(net)
    single = tmp_path / "single"
    single.mkdir()
    save_file({"a": torch.zeros(4)}, single / "model v1.safetensors")
    hub.repositories |= {"org/net": net, "org/single": single}
    files = ("org/single",), ("org/single/model v1.safetensors",)
    folder, part, *found = run(hub, tmp_path, ("org/net", "controlnet"), ("org/model", "vae"), *files)
    assert hub.downloaded == {
        "config.json",
        "diffusion_pytorch_model.safetensors",
        "model_index.json",
        "vae/config.json",
        "vae/diffusion_pytorch_model.safetensors",
        "model v1.safetensors",
    }
    assert Path(folder["path"]).is_dir()
    assert Path(part["path"]).is_dir()
    for result in (*found, *run(hub, tmp_path, *files, HF_HUB_OFFLINE="1")):
        assert Path(result["path"]).name == "model v1.safetensors"
        assert Path(result["path"]).is_file()


def test_a_download_that_is_cut_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.cut = 2
    folder = Path(run(hub, tmp_path, MODEL)[0]["path"])
    for name in hub.downloaded:
        assert (folder / name).read_bytes() == (hub.repositories["org/model"] / name).read_bytes()


def test_refusals_are_one_line(hub: Hub, tmp_path: Path) -> None:
    hub.gated.add("org/gated")
    hub.repositories["org/gated"] = hub.repositories["org/model"]
    hub.repositories["org/other"] = tmp_path
    answers = run(hub, tmp_path, ("org/absent",), ("org/gated",), ("org/other",))
    for answer, why in zip(
        answers,
        ("neither here nor on the Hub", "accept them there, and set HF_TOKEN", "has no model_index.json"),
        strict=True,
    ):
        assert why in answer["error"]
    assert "HF_HUB_OFFLINE is set" in run(hub, tmp_path, MODEL, HF_HUB_OFFLINE="1")[0]["error"]
    [nowhere] = run(hub, tmp_path, MODEL, HF_ENDPOINT="http://127.0.0.1:9")
    assert "the Hub cannot be reached" in nowhere["error"]


def test_choice_of_weights() -> None:
    def chosen(*files: str) -> list[str]:
        return weights(files, "unet/")

    stem = "unet/diffusion_pytorch_model"
    assert chosen(f"{stem}.bin", f"{stem}.safetensors") == [f"{stem}.safetensors"]
    assert chosen(f"{stem}.bin", f"{stem}.fp16.bin") == [f"{stem}.fp16.bin"]
    for index, shards in (
        (f"{stem}.safetensors.index.json", [f"{stem}-0000{n}-of-00002.safetensors" for n in (1, 2)]),
        (
            f"{stem}.safetensors.index.fp16.json",
            [f"{stem}.fp16-0000{n}-of-00002.safetensors" for n in (1, 2)],
        ),
        (
            f"{stem}.safetensors.index.fp16.json",
            [f"{stem}-0000{n}-of-00002.fp16.safetensors" for n in (1, 2)],
        ),
    ):
        assert chosen(f"{stem}.bin", *reversed(shards), index, "unet/config.json") == [index, *shards]
    assert chosen("unet/config.json") == []


def test_a_repository_of_several_files_has_to_be_asked_for_one() -> None:
    with pytest.raises(ConversionError, match=r"it holds a.safetensors, b.safetensors, name one file"):
        needed(["a.safetensors", "b.safetensors", "vae/c.safetensors"])
