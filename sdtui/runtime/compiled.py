"""What a compiled ``.mlmodelc`` says about its inputs and outputs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np

from sdtui.files import reason
from sdtui.runtime.network import NetworkError, TensorSpec

_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 40)]


class _Feature(msgspec.Struct, frozen=True, rename="camel"):
    """One input or output. ``shape`` is text: ``"[2, 4, 64, 64]"``."""

    name: str
    data_type: Literal["Float16", "Float32", "Int32"]
    shape: str


class _Description(msgspec.Struct, frozen=True, rename="camel"):
    """What we want of the one object in ``metadata.json``."""

    input_schema: list[_Feature]
    output_schema: list[_Feature]


def compiled_specs(path: Path) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Inputs and outputs from the ``metadata.json`` that Apple's compiler writes.

    The shape of an output may be missing there: it is () then. Raises NetworkError when the file is
    missing or does not say what the arrays are.
    """
    try:
        content = (path / "metadata.json").read_bytes()
        (description,) = msgspec.json.decode(content, type=list[_Description])
        return _specs(description.input_schema), _specs(description.output_schema)
    except OSError as error:
        why = f"its metadata.json cannot be read: {reason(error)}"
        raise NetworkError(f"cannot load {path.name}", why, "use the .mlpackage it was made from") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise NetworkError(
            f"cannot load {path.name}",
            "its metadata.json does not describe arrays",
            "use the .mlpackage it was made from",
        ) from error


def _specs(features: list[_Feature]) -> dict[str, TensorSpec]:
    return {
        feature.name: TensorSpec(
            tuple(msgspec.json.decode(feature.shape, type=list[_Size])),
            np.dtype(feature.data_type.lower()),
        )
        for feature in features
    }
