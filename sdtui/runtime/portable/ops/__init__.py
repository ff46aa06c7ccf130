"""The operations of MIL as torch functions, by family."""

from sdtui.runtime.portable.ops import (  # noqa: F401 - each family registers its operations
    attention,
    elementwise,
    indexing,
    linear,
    normalisation,
    quantisation,
    reduction,
    resampling,
    shape,
)
from sdtui.runtime.portable.ops.registry import OPERATIONS, Kernel

__all__ = ["OPERATIONS", "Kernel"]
