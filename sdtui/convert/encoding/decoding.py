"""From an encoded weight back to numbers, by the formulas that the portable runtime uses."""

from __future__ import annotations

from typing import Any

import numpy as np

from sdtui.convert.encoding.encoded import Array, Blob, Encoded
from sdtui.runtime.portable.ops.constexpr import CONSTEXPR
from sdtui.runtime.portable.weights import from_bytes


def decode(encoded: Encoded) -> Array:
    """The weight that a network sees: ``encoded.shape``, float16 or float32."""
    values: dict[str, Any] = {name: _unpacked(blob) for name, blob in encoded.blobs.items()}
    if encoded.operation == "const":
        return np.asarray(values["val"])
    return np.asarray(CONSTEXPR[encoded.operation](**values))


def _unpacked(blob: Blob) -> Array:
    return from_bytes(blob.data.reshape(-1).view(np.uint8), blob.dtype, blob.shape)
