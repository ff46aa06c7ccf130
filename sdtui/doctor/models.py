"""The models: can they be opened, and are they what was written?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sdtui.bundle import Bundle, BundleError, reference, verify
from sdtui.bundle.library import STARTER, STARTER_PATH, folders
from sdtui.conversion_page import amount
from sdtui.doctor.finding import Finding, problem
from sdtui.doctor.folders import held

SECTION = "models"
QUICK = 500_000_000
"""Bytes up to which a whole model is read: about a second."""


def models() -> Iterator[Finding]:
    """The built-in model and those in the models folder, whole or not."""
    for folder in folders():
        yield _model(folder)


def _model(folder: Path) -> Finding:
    name = STARTER if folder == STARTER_PATH else folder.name
    try:
        bundle = Bundle.open(folder)
        size = held(folder)
        if size <= QUICK:
            verify(bundle)
    except BundleError as error:
        return problem(SECTION, name, error)
    read = "whole" if size <= QUICK else f"opened; `sdtui models verify {reference(bundle)}` reads all of it"
    return Finding(
        section=SECTION, subject=name, told=f"{bundle.manifest.title}, {amount(size)}, {read}",
        figures={"bytes": size, "hash": bundle.hash, "family": bundle.manifest.family},
    )  # fmt: skip
