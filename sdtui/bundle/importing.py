"""A folder of somebody else's becomes a bundle in the models folder, without converting anything."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from sdtui.bundle.adoption import OnNetwork, adopt, write_manifest
from sdtui.bundle.bundle import MANIFEST_FILE, Bundle, BundleError
from sdtui.bundle.foreign import files_below, trusted_roots
from sdtui.bundle.layouts import find_model
from sdtui.bundle.library import STARTER
from sdtui.bundle.linking import Put, copy_file, place_file
from sdtui.bundle.scheduler import PredictionType
from sdtui.files import create_folder_atomically, reason

How = Literal["link", "copy", "move"]
"""Whether files are shared with where they were, copied, or shared and then removed there."""


@dataclass(frozen=True)
class Imported:
    """A model that was just imported, and what its owner should know of it."""

    bundle: Bundle
    warnings: tuple[str, ...] = ()


class _Model(Protocol):
    """A model that was found. ``sources`` are what it consists of, where it was."""

    @property
    def name(self) -> str: ...
    @property
    def sources(self) -> list[Path]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...

    def write(self, bundle: Path, name: str, put: Put, on_network: OnNetwork) -> None: ...


@dataclass(frozen=True)
class _Bundle:
    """A bundle of ours that lies somewhere else."""

    opened: Bundle
    roots: tuple[Path, ...]
    warnings: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.opened.path.name

    @property
    def sources(self) -> list[Path]:
        return [self.opened.path]

    def write(self, bundle: Path, name: str, put: Put, on_network: OnNetwork) -> None:
        """Take over the whole folder; a new ``name`` is written into its manifest."""
        for file in files_below(self.opened.path, self.roots):
            place = bundle / file.relative_to(self.opened.path)
            if file == self.opened.path / MANIFEST_FILE and name != self.name:
                write_manifest(bundle, msgspec.structs.replace(self.opened.manifest, name=name))
                continue
            if not place.parent.exists():
                on_network(place.parent.relative_to(bundle).as_posix())
                place.parent.mkdir(parents=True)
            # What people edit is each one's own; only networks are shared.
            (copy_file if place.parent == bundle else put)(file, place)
        Bundle.open(bundle)


def import_model(
    path: Path,
    models: Path,
    *,
    name: str | None = None,
    tokenizer: Path | None = None,
    prediction: PredictionType | None = None,
    how: How = "link",
    on_network: OnNetwork = lambda _name: None,
) -> Imported:
    """Make a bundle in the folder ``models`` of the model at or below ``path``, whole or not at all.

    ``name`` is what it will be called (else as its id or its folder is), ``tokenizer`` a folder with
    vocab.json and merges.txt, ``prediction`` what its UNet predicts where nobody can know. Raises
    :class:`BundleError` or :class:`~sdtui.runtime.network.NetworkError` for whatever does not fit.
    """
    path = path.expanduser().absolute()
    folder = find_model(path)
    roots = trusted_roots(path, folder)
    try:
        model: _Model = (
            _Bundle(Bundle.open(folder), roots)
            if (folder / MANIFEST_FILE).is_file()
            else adopt(folder, roots, tokenizer and tokenizer.expanduser(), prediction)
        )
        target = models / _checked(name or re.sub(r"[^\w.+-]+", "-", model.name).strip("-.") or "model")
        with create_folder_atomically(target) as unfinished:
            model.write(unfinished, target.name, copy_file if how == "copy" else place_file, on_network)
    except FileExistsError as error:
        raise BundleError(
            f"{path} is not imported", f"there is a model {error.filename}", "give it a --name of its own"
        ) from error
    except OSError as error:
        raise BundleError(
            f"{path} cannot be imported", reason(error), f"make room in {models}, and check who may read"
        ) from error
    left = _take_away(model.sources, folder) if how == "move" else ()
    return Imported(Bundle.open(target), (*model.warnings, *left))


def _checked(name: str) -> str:
    if name == STARTER:
        raise BundleError(f"no other model can be called {name}", "the built-in one is", "give it a --name")
    if Path(name).name != name or name.startswith(".") or not name.isprintable():
        raise BundleError(f"a model cannot be called {name!r}", "that is no name for a folder", "use another")
    return name


def _take_away(sources: Iterable[Path], folder: Path) -> tuple[str, ...]:
    """Remove ``sources`` where they lie in ``folder``; what stays behind is told and no failure."""
    inside = [source for source in sources if source.resolve().is_relative_to(folder.resolve())]
    try:
        for source in inside:
            shutil.rmtree(source)
        if folder.exists() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        return (f"{folder} could not be removed: {reason(error)}",)
    return ()
