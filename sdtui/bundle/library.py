"""Which models there are, and what they are called. Light: the interface imports this."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path

from sdtui.bundle.bundle import Bundle, BundleError
from sdtui.files import TEMPORARY, reason
from sdtui.settings import places

STARTER = "starter"
STARTER_PATH = Path(__file__).parents[1] / "starter" / "model"


def locate(model: str | None) -> Path:
    """The folder of a model: the built-in one for None or ``starter``, a path, or an installed name.

    Raises :class:`BundleError` that lists what is installed. The folder itself is not looked into.
    """
    if model in (None, STARTER):
        return STARTER_PATH
    path = Path(model).expanduser()
    if path.exists():
        return path.absolute()
    named = places().models / model
    if path.name == model and named.is_dir():
        return named
    names = ", ".join(reference(bundle) for bundle in installed())
    raise BundleError(
        f"there is no model {model}",
        "it is neither a folder nor installed",
        f"choose one of: {names}" if names else "give the path of a bundle",
    )


def removable(model: str) -> Path:
    """The folder of a model that can be removed: one in the models folder, whatever state it is in.

    Raises :class:`BundleError` for the built-in model, and for one that lies elsewhere or nowhere.
    """
    what = f"{model} cannot be removed"
    if model == STARTER:
        raise BundleError(what, "it is built in", "choose another model")
    folder = places().models / model
    if Path(model).name == model and (folder.is_dir() or folder.is_symlink()):
        return folder
    locate(model)
    raise BundleError(what, "it does not lie in the models folder", "delete its folder yourself")


def remove(folder: Path) -> None:
    """Remove a :func:`removable` model: gone at once, its disk a moment later. Raises :class:`BundleError`.

    A link is removed, and what it leads to is left.
    """
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        hidden = Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=folder.parent))
        folder.rename(hidden / folder.name)
        shutil.rmtree(hidden)
    except OSError as error:
        raise BundleError(
            f"{folder.name} cannot be removed", reason(error), f"check who may write to {folder.parent}"
        ) from error


def folders() -> list[Path]:
    """The folders of the built-in model and of those in the models folder, whole or not, by name."""
    models = places().models
    found = sorted(models.iterdir()) if models.is_dir() else []
    return [STARTER_PATH, *(each for each in found if each.is_dir() and not each.name.startswith("."))]


def installed() -> list[Bundle]:
    """The built-in model and those in the models folder, by name; what cannot be opened is left out."""
    bundles = []
    for folder in folders():
        with contextlib.suppress(BundleError):
            bundles.append(Bundle.open(folder))
    return bundles


def reference(bundle: Bundle) -> str:
    """What a request calls this model, so that :func:`locate` finds it again: a name or a path."""
    if bundle.path == STARTER_PATH:
        return STARTER
    if bundle.path.parent == places().models.absolute():
        return bundle.path.name
    return str(bundle.path)
