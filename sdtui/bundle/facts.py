"""What one network says about itself: a package in its program, a compiled one in ``metadata.json`` too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2, prod
from pathlib import Path

import msgspec

from sdtui.files import reason
from sdtui.runtime.compiled import compiled_specs
from sdtui.runtime.network import NetworkError, TensorSpec
from sdtui.runtime.portable.compiled import open_network
from sdtui.runtime.portable.package import Package
from sdtui.runtime.portable.program import SUB_BYTE_BITS, Function, Operation, TensorType

_TARGETS = {6: "macOS12", 7: "macOS13", 8: "macOS14", 9: "macOS15", 10: "macOS26"}
"""Specification versions to the first macOS that runs them."""
_STORED_AS = {"constexpr_affine_dequantize": "quantized_data", "constexpr_blockwise_shift_scale": "data"}
"""Operations that scale integers, and the input that holds them."""

Shape = tuple[int, ...]


@dataclass(frozen=True)
class NetworkFacts:
    """One network. The shape of an output is () where nobody wrote it down.

    ``einsum`` is whether its attention is split, ``vocabulary`` the rows of its token embedding
    (None where there is none to be seen). ``model_id`` and ``licence`` are its author's words.
    ``nbits`` is what a compressed weight takes on average, ``encoding`` how, as in a manifest.
    """

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    einsum: bool = False
    vocabulary: int | None = None
    target: str | None = None
    model_id: str = ""
    licence: str = ""
    nbits: float | None = None
    encoding: str | None = None


def read_facts(network: Path) -> NetworkFacts:
    """Read a ``.mlpackage`` or ``.mlmodelc``, but none of its weights. Raises :class:`NetworkError`."""
    if network.suffix == ".mlmodelc" and (network / "metadata.json").exists():
        return _compiled(network)
    return _program(open_network(network))


# ---- programs --------------------------------------------------------------------------------


def _program(package: Package) -> NetworkFacts:
    model = package.model
    nbits, encoding = _compression(model.function)
    return NetworkFacts(
        inputs=_shapes(package.inputs),
        outputs=_shapes(package.outputs),
        einsum=any(operation.type == "einsum" for operation in model.function.operations),
        vocabulary=_embedding_rows(model.function),
        target=_TARGETS.get(model.specification_version),
        model_id=model.version,
        licence=model.licence,
        nbits=nbits,
        encoding=encoding,
    )


def _embedding_rows(function: Function) -> int | None:
    """The rows of the largest table that the program looks words up in."""
    types = _types(function)
    tables = (
        type_.shape
        for operation in function.operations
        if operation.type == "gather" and (type_ := _type_of(operation, "x", types))
    )
    return max((shape[0] for shape in tables if len(shape) == 2 and shape[0]), default=None)


def _compression(function: Function) -> tuple[float | None, str | None]:
    """Bits of a compressed weight on average, and how the weights are encoded."""
    types = _types(function)
    weights, bits = 0, 0.0
    kinds = set()
    for operation in _outermost_constexprs(function):
        width = _width(operation, types)
        if width is not None:
            elements = prod(size or 0 for size in operation.outputs[0].type.shape)
            weights += elements
            bits += elements * width
            kinds.add("palettized" if operation.type == "constexpr_lut_to_dense" else "linear")
    if not weights:
        return None, None
    return round(bits / weights, 2), kinds.pop() if len(kinds) == 1 else "mixed"


def _outermost_constexprs(function: Function) -> Iterator[Operation]:
    """Operations that unpack a weight, but not those that unpack another one's table."""
    constexprs = [each for each in function.operations if each.type.startswith("constexpr_")]
    inner = {name for each in constexprs for argument in each.inputs.values() for name in argument}
    return (each for each in constexprs if each.outputs and each.outputs[0].name not in inner)


def _width(operation: Operation, types: Mapping[str, TensorType]) -> float | None:
    """Bits that one weight of a ``constexpr`` operation takes; None for one that does not compress."""
    if operation.type == "constexpr_lut_to_dense":
        indices, table = (_type_of(operation, name, types) for name in ("indices", "lut"))
        if indices and indices.dtype in SUB_BYTE_BITS:
            return SUB_BYTE_BITS[indices.dtype]
        # macOS13 packs codes into bytes: their width follows from the table. Later tables have an
        # axis more, for entries of several numbers.
        entries = table.shape[0 if len(table.shape) == 1 else -2] if table and table.shape else None
        return log2(entries) if entries else None
    stored = _STORED_AS.get(operation.type)
    data = _type_of(operation, stored, types) if stored else None
    return SUB_BYTE_BITS.get(data.dtype, 8) if data else None


def _types(function: Function) -> dict[str, TensorType]:
    return {output.name: output.type for each in function.operations for output in each.outputs}


def _type_of(operation: Operation, name: str, types: Mapping[str, TensorType]) -> TensorType | None:
    for argument in operation.inputs.get(name, ()):
        return types.get(argument) if isinstance(argument, str) else argument.type
    return None


# ---- what a compiler has described ------------------------------------------------------------


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What we want of the object in ``metadata.json``; its inputs and outputs are read elsewhere."""

    specification_version: int | str = 0
    version: str = ""
    license: str = ""
    storage_precision: str = ""
    ml_program_operation_type_histogram: dict[str, int] = {}


def _compiled(path: Path) -> NetworkFacts:
    inputs, outputs = compiled_specs(path)
    try:
        (metadata,) = msgspec.json.decode((path / "metadata.json").read_bytes(), type=list[_Metadata])
        target = _TARGETS.get(int(metadata.specification_version))
        program = path / "model.mil"
        text = program.read_text(encoding="utf-8", errors="replace") if program.is_file() else ""
    except OSError as error:
        raise NetworkError(f"cannot load {path.name}", reason(error), "make it readable") from error
    except (ValueError, RecursionError) as error:
        why = f"its metadata.json does not describe a network: {error}"
        raise NetworkError(f"cannot load {path.name}", why, "get it again") from error
    nbits, encoding = _stored(metadata.storage_precision)
    return NetworkFacts(
        inputs=_shapes(inputs),
        outputs=_shapes(outputs),
        # Ios16.einsum, Ios17.einsum and so on: the prefix is the target's.
        einsum=any(name.endswith(".einsum") for name in metadata.ml_program_operation_type_histogram),
        vocabulary=_embedding_rows_of_text(text),
        target=target,
        model_id=metadata.version,
        licence=metadata.license,
        nbits=nbits,
        encoding=encoding,
    )


def _embedding_rows_of_text(program: str) -> int | None:
    """As :func:`_embedding_rows`, of the text that compiled programs are."""
    tables = set(re.findall(r"\bgather\([^)]*?\bx = (\w+)", program))
    constants = re.finditer(r"tensor<\w+, \[(\d+), \d+\]> (\w+) = const", program)
    return max((int(match[1]) for match in constants if match[2] in tables), default=None)


def _stored(precision: str) -> tuple[float | None, str | None]:
    """``Mixed (Float16, Palettized (6 bits))`` -> 6 bits, palettized. What mixes widths says no average."""
    widths = {int(bits) for bits in re.findall(r"Palettized \((\d+) bits?\)", precision)}
    linear = "Int8" in precision
    if not widths:
        return (8, "linear") if linear else (None, None)
    return (widths.pop() if len(widths) == 1 and not linear else None), "mixed" if linear else "palettized"


def _shapes(specs: Mapping[str, TensorSpec]) -> dict[str, Shape]:
    return {name: spec.shape for name, spec in specs.items()}
