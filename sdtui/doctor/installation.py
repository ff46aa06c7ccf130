"""What is installed, and in which version. Nothing is imported for it."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from sdtui import __version__
from sdtui.doctor.finding import Finding

SECTION = "installation"
NEEDED = ("torch", "diffusers", "transformers")
LIBRARIES = ("coremltools", "openvino", *NEEDED)


def installation() -> Iterator[Finding]:
    """sdtui, Python and the libraries that compute."""
    yield Finding(section=SECTION, subject="sdtui", told=__version__)
    yield Finding(
        section=SECTION, subject="Python", told=f"{platform.python_version()}, {platform.machine()}"
    )
    for library in NEEDED:
        yield _needed(library)
    yield _coremltools()
    if sys.platform != "darwin" and platform.machine() in ("x86_64", "AMD64"):
        yield _openvino()


def versions() -> dict[str, str]:
    """The versions of what decides the numbers of a picture; what is not installed is left out."""
    found = {library: _version(library) for library in LIBRARIES}
    return {"sdtui": __version__} | {library: known for library, known in found.items() if known}


def _needed(library: str) -> Finding:
    known = _version(library)
    if known:
        return Finding(section=SECTION, subject=library, told=known)
    return Finding(
        section=SECTION, subject=library, level="problem", told="it is not installed",
        remedy="install sdtui again",
    )  # fmt: skip


def _coremltools() -> Finding:
    if known := _version("coremltools"):
        return Finding(section=SECTION, subject="coremltools", told=known)
    if sys.version_info >= (3, 14):
        why = "it has no wheel for Python 3.14"
    elif sys.platform == "linux" and platform.machine() != "x86_64":
        why = f"it has no wheel for Linux on {platform.machine()}"
    else:
        return Finding(
            section=SECTION, subject="coremltools", level="problem", told="it is not installed",
            remedy="install sdtui again",
        )  # fmt: skip
    return Finding(
        section=SECTION, subject="coremltools", level="note", told=f"{why}: models run, converting does not",
        remedy="convert with Python 3.13 on a Mac or Linux x86-64",
    )  # fmt: skip


def _openvino() -> Finding:
    if known := _version("openvino"):
        return Finding(section=SECTION, subject="openvino", told=known)
    return Finding(
        section=SECTION, subject="openvino", level="note",
        told="it is not installed: without a GPU, steps of large models would take a third less time",
        remedy='python -m pip install "sdtui[openvino]"',
    )  # fmt: skip


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
