"""The files of a folder that nobody vouches for: where its links may lead, and where they may not."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sdtui.bundle.bundle import CONTROLNET_FOLDER, BundleError


def trusted_roots(named: Path, model: Path) -> tuple[Path, ...]:
    """Where the files of ``model``, found in the folder that a person ``named``, may really lie.

    That folder itself; in the Hub's cache, the repository whose ``snapshots`` are links into ``blobs``;
    and the folder of ControlNets that Mochi Diffusion links into each model beside it.
    """
    root = named.resolve()
    hub = [each for each in root.parents if each.name.startswith("models--")]
    shared = model.resolve().parent.parent / CONTROLNET_FOLDER
    linked = (model / CONTROLNET_FOLDER).resolve() == shared
    return (*(hub or [root]), *([shared] if linked else []))


def files_below(folder: Path, roots: tuple[Path, ...]) -> Iterator[Path]:
    """Every file at or below ``folder``, in order. Raises OSError, and :class:`BundleError` for one that
    is no plain file or really lies outside all ``roots``."""
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    for path in paths:
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(root) for root in roots):
            raise _refused(folder, f"{path.name} is a link that leads out of the folder")
        if not path.exists():
            raise _refused(folder, f"{path.name} is a link that leads nowhere")
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            if path.is_symlink():
                raise _refused(folder, f"{path.name} is a link to another folder")
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise _refused(folder, f"{path.name} is neither a file nor a folder")


def _refused(folder: Path, why: str) -> BundleError:
    return BundleError(f"{folder.name} cannot be imported", why, "put the file itself there")
