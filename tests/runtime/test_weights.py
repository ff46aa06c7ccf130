"""Stored constants: sub-byte packing, and weight files written by coremltools' own library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coremltools import libmilstoragepython
from hypothesis import given
from hypothesis import strategies as st

from sdtui.runtime.portable.weights import WeightFile, from_bytes, stored_bytes, unpack
from sdtui.runtime.portable.wire import MalformedError


@given(st.data(), st.sampled_from([1, 2, 3, 4, 6, 8]))
def test_unpacking_undoes_packing(data: st.DataObject, bits: int) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=60))
    packed = sum(value << (bits * place) for place, value in enumerate(values))
    raw = np.frombuffer(packed.to_bytes(-(-len(values) * bits // 8), "little"), np.uint8)
    unpacked = unpack(raw, bits, len(values))
    assert unpacked.dtype == np.uint8
    assert unpacked.tolist() == values


@given(st.lists(st.integers(-8, 7)))
def test_int4_is_twos_complement(values: list[int]) -> None:
    packed = sum((value & 15) << (4 * place) for place, value in enumerate(values))
    raw = np.frombuffer(packed.to_bytes(-(-len(values) // 2), "little"), np.uint8)
    assert from_bytes(raw, "int4", (len(values),)).tolist() == values


def test_bf16_is_widened() -> None:
    numbers = np.array([1.0, -2.5, 3e38, 0.0], np.float32)
    raw = (numbers.view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    assert from_bytes(raw, "bf16", (2, 2)).ravel() == pytest.approx(numbers, rel=2**-7)


def test_a_wrong_number_of_bytes_is_refused() -> None:
    with pytest.raises(MalformedError, match="a constant of 6 fp16 has 11 bytes"):
        from_bytes(np.zeros(11, np.uint8), "fp16", (2, 3))
    with pytest.raises(MalformedError, match="fp8e4m3fn cannot be read"):
        stored_bytes("fp8e4m3fn", 1)


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[int, str, Any]]]:
    """A weight file by coremltools' writer, and (offset, type, values) of its blobs."""
    path = tmp_path_factory.mktemp("weights") / "weight.bin"
    writer = libmilstoragepython._BlobStorageWriter(str(path))
    random = np.random.default_rng(1)
    half = random.standard_normal(37).astype(np.float16)
    written: list[tuple[int, str, Any]] = [
        (writer.write_fp16_data(half.view(np.uint16)), "fp16", half),
    ]
    for dtype, kind in {
        "fp32": np.float32,
        "uint8": np.uint8,
        "int8": np.int8,
        "int16": np.int16,
        "uint16": np.uint16,
        "int32": np.int32,
        "uint32": np.uint32,
    }.items():
        values = (random.standard_normal(19) * 50).astype(kind)
        name = {"fp32": "float"}.get(dtype, dtype)
        written.append((getattr(writer, f"write_{name}_data")(values), dtype, values))
    for dtype, bits in {"uint1": 1, "uint2": 2, "uint3": 3, "uint4": 4, "uint6": 6}.items():
        values = random.integers(0, 2**bits, 21).astype(np.uint8)
        written.append((getattr(writer, f"write_{dtype}_data")(values), dtype, values))
    signed = random.integers(-8, 8, 21).astype(np.int8)
    written.append((writer.write_int4_data(signed), "int4", signed))
    del writer
    return path, written


def test_every_blob_type_reads_back(blobs: tuple[Path, list[tuple[int, str, Any]]]) -> None:
    path, written = blobs
    weights = WeightFile(path)
    for offset, dtype, values in written:
        read = weights.read(offset, dtype, values.shape)
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values)


def test_a_blob_asked_for_wrongly_is_refused(blobs: tuple[Path, list[tuple[int, str, Any]]]) -> None:
    path, written = blobs
    weights = WeightFile(path)
    offset, _, values = written[0]
    for wrong_offset, dtype, shape, why in [
        (offset + 64, "fp16", values.shape, "no blob at byte"),
        (1 << 50, "fp16", values.shape, "too few for a blob"),
        (offset, "fp32", values.shape, "holds fp16"),
        (offset, "fp16", (38,), "38 fp16 has 74 bytes"),
    ]:
        with pytest.raises(MalformedError, match=why):
            weights.read(wrong_offset, dtype, shape)


def test_a_file_cut_anywhere_never_gives_wrong_values(
    blobs: tuple[Path, list[tuple[int, str, Any]]], tmp_path: Path
) -> None:
    path, written = blobs
    whole = path.read_bytes()
    offset, dtype, values = written[-1]
    needed = max(place for place in range(len(whole)) if whole[place]) + 1
    for size in range(0, len(whole), 7):
        cut = tmp_path / "cut.bin"
        cut.write_bytes(whole[:size])
        try:
            read = WeightFile(cut).read(offset, dtype, values.shape)
        except MalformedError:
            assert size < needed + 64
            continue
        np.testing.assert_array_equal(read, values)
