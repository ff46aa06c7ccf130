"""A terminal studio for Stable Diffusion on Core ML.

``import sdtui`` is light: :func:`generate` loads the pipeline when it is first called.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdtui.api import Picture, generate

# Before torch is imported: threads of a computation that wait for each other are to sleep. They spin
# otherwise, and beside a single busy process a step takes 40 s instead of 4.5 s (two cores, measured).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["Picture", "__version__", "generate"]


def __getattr__(name: str) -> object:
    """Load the public names on first use (PEP 562), so that ``import sdtui`` imports no torch."""
    if name in ("Picture", "generate"):
        from sdtui import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
