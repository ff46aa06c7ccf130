"""Starting another Python that finds this very sdtui, wherever it was started from."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import sdtui

ROOT = Path(sdtui.__file__).parents[1]


def python(module: str, *arguments: str) -> list[str]:
    """The command line that runs ``module``; ``-P`` keeps the current folder's files out of it."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's environment, with what is relative to the current folder made absolute."""
    variables = dict(os.environ)
    paths = [
        str(Path(entry).absolute()) for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry
    ]
    if str(ROOT) not in (*paths, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        paths.insert(0, str(ROOT))
    if paths:
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    if home := os.environ.get("SDTUI_HOME"):
        variables["SDTUI_HOME"] = str(Path(home).expanduser().absolute())
    return variables
