"""Which macOS this is: what Core ML has prepared for one is worth nothing to another."""

from __future__ import annotations

import functools
import platform
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class MacOS:
    """``product`` is the version (``15.1``), ``build`` changes with every update (``24B83``)."""

    product: str
    build: str

    @property
    def version(self) -> tuple[int, ...]:
        """``product`` as numbers; empty where this is no macOS."""
        return tuple(int(part) for part in self.product.split(".") if part.isdigit())

    @property
    def beta(self) -> bool:
        """Whether it was not yet released: the builds of betas end in a small letter (``23E5180j``)."""
        return self.build[-1:].islower()


@functools.cache
def this_macos() -> MacOS:
    """The one that runs here. Elsewhere than on a Mac its product is empty."""
    try:
        return MacOS(_ask("-productVersion"), _ask("-buildVersion"))
    except (OSError, subprocess.SubprocessError):
        return MacOS("", platform.release())


def _ask(option: str) -> str:
    answer = subprocess.run(
        ["/usr/bin/sw_vers", option], capture_output=True, text=True, check=True, timeout=10
    )
    return answer.stdout.strip()
