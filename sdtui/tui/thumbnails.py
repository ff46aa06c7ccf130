"""Small pictures, made once and kept on disk. Slow: called from the background only."""

from __future__ import annotations

import contextlib
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from sdtui.files import write_atomically
from sdtui.settings import places

if TYPE_CHECKING:
    from PIL import Image

PIXELS = 160
"""Along the longer side: more than a gallery's cell has in any terminal."""
QUALITY = 88


def thumbnail(path: Path) -> Image.Image:
    """The picture in RGB, at most :data:`PIXELS` along a side. Raises OSError, ValueError, SyntaxError.

    It is kept under a name made of the file's path, size and time, so that a file which changes has
    another. A cache that cannot be written costs time, nothing else.
    """
    from PIL import Image

    kept = places().thumbnails / f"{_fingerprint(path)}.jpg"
    with contextlib.suppress(OSError, ValueError, SyntaxError), Image.open(kept) as image:
        return image.convert("RGB")
    with Image.open(path) as opened:
        opened.thumbnail((PIXELS, PIXELS))
        small = opened.convert("RGB")
    file = io.BytesIO()
    small.save(file, "JPEG", quality=QUALITY, subsampling=0)
    with contextlib.suppress(OSError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, file.getvalue())
    return small


def _fingerprint(path: Path) -> str:
    state = path.stat()
    return hashlib.sha256(f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()).hexdigest()[:32]
