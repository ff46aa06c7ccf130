"""What a compiled ``.mlmodelc`` says about its inputs and outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sdtui.files import reason
from sdtui.runtime.network import NetworkError, TensorSpec

_DTYPES: dict[str, np.dtype[Any]] = {
    "Float16": np.dtype(np.float16),
    "Float32": np.dtype(np.float32),
    "Int32": np.dtype(np.int32),
}


def compiled_specs(path: Path) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    """Inputs and outputs from the ``metadata.json`` that Apple's compiler writes.

    The shape of an output may be missing there: it is () then. Raises NetworkError when the file is
    missing or does not say what the arrays are.
    """
    try:
        (content,) = json.loads((path / "metadata.json").read_bytes())
        return _specs(content["inputSchema"]), _specs(content["outputSchema"])
    except OSError as error:
        why = f"its metadata.json cannot be read: {reason(error)}"
        raise NetworkError(f"cannot load {path.name}", why, "use the .mlpackage it was made from") from error
    except (ValueError, KeyError, TypeError) as error:
        raise NetworkError(
            f"cannot load {path.name}",
            "its metadata.json does not describe arrays",
            "use the .mlpackage it was made from",
        ) from error


def _specs(features: list[dict[str, Any]]) -> dict[str, TensorSpec]:
    return {
        feature["name"]: TensorSpec(
            tuple(int(size) for size in json.loads(feature["shape"])), _DTYPES[feature["dataType"]]
        )
        for feature in features
    }
