"""The folders that others keep Core ML Stable Diffusion models in, recognised by their file names. Light.

Apple's converter writes ``Stable_Diffusion_version_<id>_<part>.mlpackage``, its ``Resources`` folder
``TextEncoder.mlmodelc`` and so on, which Mochi Diffusion and the Swift command line read; the Hub has
both below ``original``, ``split_einsum`` and ``split_einsum_v2``.
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdtui.bundle.bundle import CONTROLNET_FOLDER, MANIFEST_FILE, BundleError
from sdtui.bundle.manifest import STEMS, NetworkRole
from sdtui.files import reason

ENDINGS = (".mlpackage", ".mlmodelc")
_DEPTH = 4
"""How far below the folder that was named a model may lie."""
_LISTED = 5
"""How many models are told when only one can be meant."""

_APPLE_PARTS: Mapping[str, NetworkRole] = {
    "text_encoder": "text_encoder",
    "text_encoder_2": "text_encoder_2",
    "unet": "unet",
    "control-unet": "control_unet",
    "refiner": "refiner",
    "mmdit": "mmdit",
    "vae_decoder": "vae_decoder",
    "vae_encoder": "vae_encoder",
    "safety_checker": "safety_checker",
}
_APPLE = re.compile(
    rf"Stable_Diffusion_version_(?P<id>.+)_(?P<part>{'|'.join(_APPLE_PARTS)})(_chunk(?P<half>[12]))?",
    re.DOTALL,
)
_RESOURCE_ROLES: Mapping[str, NetworkRole] = {stem: role for role, stem in STEMS.items()}
_RESOURCE = re.compile(rf"(?P<stem>{'|'.join(_RESOURCE_ROLES)})(Chunk(?P<half>[12]))?")
_APPLE_CONTROLNET = "ControlNet_"
_SAYS_NOTHING = re.compile(
    r"resources|packages|compiled|original|split_einsum(_v2)?|snapshots|models|[0-9a-f]{40}", re.IGNORECASE
)
"""Names of folders that tell nothing about the model in them."""


@dataclass(frozen=True)
class Layout:
    """A model of somebody else's as its folder shows it.

    ``networks`` maps a role to its packages, one or, where it is cut, two. ``model_id`` is that of
    Apple's file names, with ``_`` for ``/``; empty where the names have none.
    """

    folder: Path
    networks: Mapping[NetworkRole, tuple[Path, ...]]
    controlnets: Mapping[str, Path] = field(default_factory=dict)
    model_id: str = ""


def find_model(path: Path) -> Path:
    """The folder of the one model at or below ``path``: what Hub trees and unpacked archives wrap.

    Raises :class:`BundleError` when there is none, or more than one: it lists them.
    """
    if not path.is_dir():
        why = "that is a file, not a folder" if path.exists() else "there is no such folder"
        raise BundleError(f"{path} cannot be imported", why, "give the folder of a model")
    try:
        found = list(itertools.islice(_models(path, _DEPTH), _LISTED + 1))
    except OSError as error:
        raise BundleError(f"{path} cannot be imported", reason(error), "make it readable") from error
    if not found:
        raise BundleError(
            f"{path} cannot be imported",
            "no bundle.json, Unet.mlmodelc or Stable_Diffusion_version_*.mlpackage is in it",
            "give the folder of a Core ML model",
        )
    if len(found) > 1:
        names = ", ".join(folder.relative_to(path).as_posix() for folder in found[:_LISTED])
        names += ", ..." * (len(found) > _LISTED)
        raise BundleError(
            f"{path} cannot be imported", f"it holds several models: {names}", "give the path of one"
        )
    return found[0]


def read_layout(folder: Path) -> Layout:
    """What lies where in the ``folder`` of a model that is not a bundle of ours.

    Where a network is there both whole and cut in two, the whole is taken: Apple's converter compresses
    that one only. Raises :class:`BundleError` when half a network is missing, or two models are mixed.
    """
    halves: dict[NetworkRole, dict[int, Path]] = defaultdict(dict)
    model_ids: set[str] = set()
    controlnets: dict[str, Path] = {}
    for path in _networks(folder):
        if match := _APPLE.fullmatch(path.stem):
            model_ids.add(match["id"])
            _put(halves[_APPLE_PARTS[match["part"]]], int(match["half"] or 0), path)
        elif match := _RESOURCE.fullmatch(path.stem):
            _put(halves[_RESOURCE_ROLES[match["stem"]]], int(match["half"] or 0), path)
        elif path.stem.startswith(_APPLE_CONTROLNET):
            controlnets.setdefault(controlnet_name(path.stem.removeprefix(_APPLE_CONTROLNET)), path)
    if len(model_ids) > 1:
        names = ", ".join(sorted(model_ids))
        raise BundleError(
            f"{folder} cannot be imported", f"it mixes several models: {names}", "give each its own folder"
        )
    for path in _networks(folder / CONTROLNET_FOLDER):
        controlnets.setdefault(path.stem, path)
    return Layout(
        folder,
        {role: _joined(folder, role, found) for role, found in halves.items()},
        controlnets,
        next(iter(model_ids), ""),
    )


def controlnet_name(model_id: str) -> str:
    """What Apple's converter calls a ControlNet: ``a/sd-controlnet-mlsd`` is ``ASdControlnetMlsd``."""
    return "".join(part.title() for part in re.split(r"[/_-]", model_id))


def telling_name(folder: Path) -> str:
    """The name of the nearest folder, from ``folder`` upwards, that says something about the model."""
    for name in (each.name for each in (folder, *folder.parents)):
        if name.startswith("models--"):
            return name.rpartition("--")[2]
        if name and not _SAYS_NOTHING.fullmatch(name):
            return name
    return "model"


def _models(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / MANIFEST_FILE).is_file() or any(_known(path.stem) for path in _networks(folder)):
        yield folder
    elif depth:
        for below in sorted(filter(_may_hold_models, folder.iterdir())):
            with contextlib.suppress(PermissionError):
                yield from _models(below, depth - 1)


def _may_hold_models(path: Path) -> bool:
    """Not networks, which are folders too, nor what is hidden, nor where links lead."""
    return (
        path.is_dir()
        and not path.is_symlink()
        and not path.name.startswith(".")
        and path.suffix not in ENDINGS
    )


def _known(stem: str) -> bool:
    return bool(_APPLE.fullmatch(stem) or _RESOURCE.fullmatch(stem))


def _networks(folder: Path) -> list[Path]:
    """The networks right in ``folder``, packages before what is compiled of them."""
    if not folder.is_dir():
        return []
    return sorted(
        (path for path in folder.iterdir() if path.suffix in ENDINGS and path.is_dir()),
        key=lambda path: (ENDINGS.index(path.suffix), path.name),
    )


def _put(halves: dict[int, Path], half: int, path: Path) -> None:
    """Keep the package where there is a compiled one too: every runtime reads it."""
    halves.setdefault(half, path)


def _joined(folder: Path, role: NetworkRole, found: Mapping[int, Path]) -> tuple[Path, ...]:
    if 0 in found:
        return (found[0],)
    if missing := {1, 2} - found.keys():
        there = next(iter(found.values())).name
        raise BundleError(
            f"{folder} is not complete",
            f"beside {there}, chunk {missing.pop()} of its {role.replace('_', ' ')} is missing",
            "get it again",
        )
    return (found[1], found[2])
