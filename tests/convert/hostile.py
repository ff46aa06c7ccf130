"""What checkpoints from strangers are made of, and how they are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sdtui.convert.checkpoint.checkpoint import open_checkpoint
from sdtui.convert.source import ConversionError


def refusal(source: Path, workspace: Path) -> ConversionError:
    """Why ``source`` cannot be opened, or one of its modules not be made."""
    with pytest.raises(ConversionError) as caught:
        checkpoint = open_checkpoint(str(source), workspace)
        for name in checkpoint.components:
            checkpoint.component(name).module()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not [path for path in workspace.glob("*") if path.name != ".lock"]
    return caught.value


def safetensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}
