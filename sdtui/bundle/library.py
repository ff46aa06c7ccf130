"""Which models there are, and what they are called. Light: the interface imports this."""

from __future__ import annotations

import contextlib
from pathlib import Path

from sdtui.bundle.bundle import Bundle, BundleError
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


def installed() -> list[Bundle]:
    """The built-in model and those in the models folder, by name; what cannot be opened is left out."""
    models = places().models
    folders = sorted(models.iterdir()) if models.is_dir() else []
    bundles = []
    for folder in [STARTER_PATH, *folders]:
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
