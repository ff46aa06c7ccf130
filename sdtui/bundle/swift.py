"""A bundle as Apple's ``Resources`` folder: what its Swift command line and Mochi Diffusion read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sdtui.bundle.bundle import (
    ADDED_TOKENS_FILE,
    CONTROLNET_FOLDER,
    T5_CONFIG_FILE,
    T5_TOKENIZER_FILE,
    Bundle,
    BundleError,
)
from sdtui.bundle.linking import place_file, place_folder
from sdtui.bundle.manifest import STEMS
from sdtui.files import create_folder_atomically, reason

COMPILES = sys.platform == "darwin"
"""Whether Apple's compiler is here."""


def write_swift_resources(bundle: Bundle, folder: Path) -> None:
    """Make ``folder``, whole or not at all: networks under Apple's names, and the tokenizers' files.

    On macOS the networks are compiled, as those programs want them; elsewhere they stay packages that
    share their files with the bundle, for a Mac to compile. Other sizes are left out: there is no name
    for them. Raises :class:`BundleError`; an existing ``folder`` is refused.
    """
    try:
        with create_folder_atomically(folder) as unfinished:
            unfinished.mkdir()
            for network, stem in _networks(bundle):
                (unfinished / stem).parent.mkdir(exist_ok=True)
                if COMPILES and network.suffix == ".mlpackage":
                    _compile(network, unfinished / f"{stem}.mlmodelc")
                else:
                    place_folder(network, unfinished / (stem + network.suffix), place_file)
            for file in (*bundle.tokenizer_files, ADDED_TOKENS_FILE, T5_TOKENIZER_FILE, T5_CONFIG_FILE):
                if (bundle.path / file).exists() and not (unfinished / file).exists():
                    place_file(bundle.path / file, unfinished / file)
    except FileExistsError as error:
        raise BundleError(f"{folder} is not overwritten", "it exists", "remove it or name another") from error
    except OSError as error:
        raise BundleError(
            f"{folder} cannot be written", reason(error), "choose another place, or make room"
        ) from error


def _networks(bundle: Bundle) -> Iterator[tuple[Path, str]]:
    """Each package of the bundle and its path in the folder, without ending."""
    for role in bundle.manifest.networks:
        halves = bundle.halves(role)
        for number, half in enumerate(halves, start=1):
            yield half, STEMS[role] + (f"Chunk{number}" if len(halves) > 1 else "")
    for name in bundle.manifest.controlnets:
        yield bundle.controlnet(name), f"{CONTROLNET_FOLDER}/{name}"


def _compile(package: Path, target: Path) -> None:
    """Let Apple's compiler make ``target``; it names what it makes after the package."""
    command = ["xcrun", "coremlcompiler", "compile", str(package), str(target.parent)]
    what = f"{package.name} cannot be compiled"
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise BundleError(what, "there is no xcrun", "install Xcode and its command line tools") from error
    made = target.parent / f"{package.stem}.mlmodelc"
    if ran.returncode or not made.is_dir():
        said = (ran.stderr or ran.stdout).strip().splitlines()
        why = said[-1] if said else f"coremlcompiler ended with {ran.returncode}"
        raise BundleError(what, why, "see whether xcrun coremlcompiler works: Xcode has it")
    made.rename(target)
