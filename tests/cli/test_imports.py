"""Cold start is a feature: what is light stays light."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sdtui.spawn import environment

HEAVY = ("torch", "numpy", "diffusers", "transformers", "coremltools", "textual", "PIL")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    "program",
    [
        "import sdtui, sdtui.settings, sdtui.cli.generate, sdtui.cli.work, sdtui.engine.client",
        "import sdtui.engine.host",
        "import sdtui.history",
        "from sdtui.cli import main; main(['--help'])",
        "from sdtui.cli import main; assert main(['generate', 'apple', '--model', 'none']) == 1",
        "from sdtui.cli import main; assert main(['convert', './none']) == 1",
        "from sdtui.cli import main; assert main(['compress', 'none', '-o', 'x', '--bits', '6']) == 1",
        "from sdtui.cli import main; assert main(['bench', '--model', 'none']) == 1",
        "from sdtui.cli import main; assert main(['doctor']) == 0",
    ],
)
def test_light_modules_import_nothing_heavy(program: str) -> None:
    check = f"{program}\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", check],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout.splitlines()[-1] == ""
