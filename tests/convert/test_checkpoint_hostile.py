"""Broken and malicious sources: one line, nothing run, nothing left behind."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from sdtui.conversion import Fused
from sdtui.convert.checkpoint.checkpoint import open_checkpoint
from sdtui.convert.checkpoint.fusing import fuse, refuse_broken
from sdtui.convert.checkpoint.pickled import load_pickled
from sdtui.convert.checkpoint.safetensors_file import map_tensors, read_header, write_tensors
from sdtui.convert.source import ConversionError
from tests.convert import checkpoints
from tests.convert.hostile import entry, refusal, safetensors


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


EIGHT = bytes(8)
LIES = {
    "empty": b"",
    "cut in the length": b"\x01\x00",
    "absurd length": safetensors(b"{}", length=1 << 62),
    "length beyond the file": safetensors({"a": entry()}, EIGHT, length=5000),
    "no JSON": safetensors(b"{" * 30),
    "nested": safetensors(b"[" * 100_000),
    "not UTF-8": safetensors(b'{"\xff": 1}'),
    "a list": safetensors([1]),
    "names twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        EIGHT,
    ),
    "truncated": safetensors({"a": entry()}, bytes(7)),
    "longer": safetensors({"a": entry()}, bytes(9)),
    "beyond the file": safetensors({"a": entry(offsets=(8, 16))}, EIGHT),
    "overlap": safetensors({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)),
    "the same bytes": safetensors({"a": entry(), "b": entry()}, EIGHT),
    "gap": safetensors({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)),
    "backwards": safetensors({"a": entry(offsets=(8, 0))}, EIGHT),
    "negative": safetensors({"a": entry(offsets=(-8, 0))}, EIGHT),
    "negative shape": safetensors({"a": entry(shape=(-2,))}, EIGHT),
    "huge shape": safetensors({"a": entry(shape=(1 << 40, 1 << 40))}, EIGHT),
    "number as text": safetensors({"a": entry(shape=("2",))}, EIGHT),
    "number as fraction": safetensors({"a": entry(shape=(2.0,))}, EIGHT),
    "a million dimensions": safetensors({"a": entry(shape=(1,) * 1_000_000, offsets=(0, 4))}, bytes(4)),
    "other shape": safetensors({"a": entry(shape=(3,))}, EIGHT),
    "unknown type": safetensors({"a": entry(dtype="F128")}, EIGHT),
    "type as number": safetensors({"a": entry(dtype=32)}, EIGHT),
    "something more": safetensors({"a": entry() | {"strides": [1]}}, EIGHT),
    "no entry": safetensors({"a": 1}, EIGHT),
    "metadata as number": safetensors({"__metadata__": {"a": 1}}),
    "metadata as list": safetensors({"__metadata__": []}),
    "huge number": safetensors(b'{"a":' + b"9" * 10_000 + b"}"),
}


@pytest.mark.parametrize("name", LIES)
def test_lying_headers(name: str, pipeline: Path, tmp_path: Path) -> None:
    (pipeline / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(LIES[name])
    refusal(pipeline, tmp_path / "work")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_header_surprises(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever is changed in a good file: it is read, or refused in one line."""
    good = safetensors({"a": entry(), "b": entry("F16", (2, 2), (8, 16))}, bytes(range(16)))
    content = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        match data.draw(st.sampled_from(("change", "insert", "remove", "cut"))):
            case "change":
                content[at : at + 1] = data.draw(st.binary(min_size=1, max_size=1))
            case "insert":
                content[at:at] = data.draw(
                    st.sampled_from([b"0", b"9" * 30, b"-", b"[", b'"', b"\0", b"\xff"])
                )
            case "remove":
                del content[at : at + 1]
            case _:
                del content[at:]
    file = tmp_path / "mutated.safetensors"
    file.write_bytes(bytes(content))
    try:
        tensors = map_tensors(file)
    except ConversionError as error:
        assert "\n" not in str(error)
    else:
        assert sum(tensor.numel() * tensor.dtype.itemsize for tensor in tensors.values()) <= len(content)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.dictionaries(
        st.sampled_from(["a", "b", "__metadata__"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "F16", "BOOL", "X"]) | JSON,
                "shape": st.lists(st.integers(-1, 3), max_size=3) | JSON,
                "data_offsets": st.lists(st.integers(-1, 16), min_size=2, max_size=2) | JSON,
            }
        )
        | JSON,
    )
    | JSON
)
def test_headers_of_any_shape(header: Any, tmp_path: Path) -> None:
    file = tmp_path / "shaped.safetensors"
    file.write_bytes(safetensors(header, EIGHT))
    try:
        found = read_header(file)
    except ConversionError as error:
        assert "\n" not in str(error)
    else:
        assert sum(stored.end - stored.start for stored in found.tensors.values()) == len(EIGHT)


def test_what_we_write_others_read(tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {
        "scalar": torch.tensor(1.5),
        "empty": torch.empty(0, 3),
        "half": torch.randn(3, 5, generator=random).half(),
        "strided": torch.randn(4, 6, generator=random).T,
        "odd": torch.tensor([True, False, True]),
        "after": torch.randn(7, generator=random),
    }
    file = tmp_path / "ours.safetensors"
    write_tensors(file, tensors, {"made": "here"})
    for read in (load_file(file), map_tensors(file)):
        assert read.keys() == tensors.keys()
        assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    save_file(
        {name: tensor.contiguous() for name, tensor in tensors.items()}, tmp_path / "theirs.safetensors"
    )
    theirs = map_tensors(tmp_path / "theirs.safetensors")
    assert all(torch.equal(theirs[name], tensor) for name, tensor in tensors.items())


def test_mapped_weights_cannot_change_their_file(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    write_tensors(file, {"a": torch.ones(1000)})
    map_tensors(file)["a"].zero_()
    assert torch.equal(map_tensors(file)["a"], torch.ones(1000))


# ---- pickles -------------------------------------------------------------------------------


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


def pickles(fuse: Path) -> Iterator[bytes]:
    """The same bomb in every wrapping that torch reads."""
    for wrapping in (Bomb(fuse), {"state_dict": {"a": torch.ones(1), "b": Bomb(fuse)}}):
        for new in (True, False):
            stream = io.BytesIO()
            torch.save(wrapping, stream, _use_new_zipfile_serialization=new)
            yield stream.getvalue()
        yield pickle.dumps(wrapping)


def test_no_pickle_runs_code(pipeline: Path, tmp_path: Path) -> None:
    fuse_file = tmp_path / "exploded"
    weights = pipeline / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    for content in pickles(fuse_file):
        pickled = weights.with_suffix(".bin")
        pickled.write_bytes(content)
        assert refusal(pipeline, tmp_path / "work").why == "it holds code or objects besides its weights"
        single = tmp_path / "model.ckpt"
        single.write_bytes(content)
        refusal(single, tmp_path / "work")
        for adapter in ("lora.bin", "word.pt"):
            (tmp_path / adapter).write_bytes(content)
    pickled.unlink()
    weights.symlink_to("nowhere")
    whole = open_checkpoint(str(_whole(pipeline, weights)), tmp_path / "work")
    with pytest.raises(ConversionError, match="code or objects"):
        fuse(whole, [Fused(str(tmp_path / "lora.bin"))], [], tmp_path / "work")
    with pytest.raises(ConversionError, match="code or objects"):
        fuse(whole, [], [str(tmp_path / "word.pt")], tmp_path / "work")
    with pytest.raises(ConversionError, match="code or objects"):
        refuse_broken([Fused(str(tmp_path / "lora.bin"))], [])
    with pytest.raises(ConversionError, match="code or objects"):
        refuse_broken([], [str(tmp_path / "word.pt")])
    assert not fuse_file.exists()


def _whole(pipeline: Path, weights: Path) -> Path:
    """``pipeline`` with its UNet's weights again."""
    weights.unlink()
    checkpoints.networks("sd", 300)["unet"].save_pretrained(weights.parent)  # type: ignore[operator]
    return pipeline


def test_the_bomb_works(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "exploded")))
    assert (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no zip",
        b"\x80\x02}q\x00.",
        b"\x80\x02\x8a\xff",
        pickle.dumps({"a": 1}),
        pickle.dumps([1]),
        pickle.dumps({"state_dict": {"a": "text"}}),
    ],
)
def test_pickles_without_tensors(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(content)
    with pytest.raises(ConversionError) as caught:
        load_pickled(file)
    assert "\n" not in str(caught.value)


def test_tensors_that_are_not_plain(tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    torch.save({"a": torch.eye(3).to_sparse()}, file)
    with pytest.raises(ConversionError):
        load_pickled(file)
