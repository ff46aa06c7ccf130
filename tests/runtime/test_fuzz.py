"""Damaged networks are refused in one line or work: no crash, no hang, no more memory than is theirs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from sdtui.spawn import environment, python
from tests.runtime.fuzz.__main__ import main
from tests.runtime.fuzz.mutations import FOLDER
from tests.runtime.fuzz.runs import compile_beside, run
from tests.runtime.fuzz.worker import BAD, CRASHED, HUNG, REFUSED, RUNS
from tests.runtime.networks import merge_halves
from tests.runtime.programs import save_every_constant
from tests.runtime.small import ENCODINGS, convert_small

COUNT = 60
MORE_MEMORY = 100e6
"""Bytes that reading a damaged network may take beyond a whole one: what it refuses costs little."""


@pytest.fixture(scope="module")
def samples(converted: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    shutil.copytree(converted("vae_decoder", "fp16", "macOS14"), folder / "vae_decoder.mlpackage")
    compile_beside(folder / "vae_decoder.mlpackage", "macOS14")
    merge_halves(folder / "vae_decoder.mlpackage", folder)
    compile_beside(save_every_constant(folder / "constants.mlpackage"), "macOS13")
    encoded = ENCODINGS["macOS15"]["palette-vectors"](convert_small("macOS15"))
    encoded.save(str(folder / "palette.mlpackage"))
    compile_beside(folder / "palette.mlpackage", "macOS15")
    return folder


@pytest.mark.parametrize("ending", [".mlpackage", ".mlmodelc"])
def test_damaged_networks_are_refused_or_work(ending: str, samples: Path) -> None:
    outcomes = list(run(samples, ending, COUNT, seed=4))
    assert [each for each in outcomes if each.outcome in BAD] == []
    counts = Counter(each.outcome for each in outcomes)
    assert counts.total() == COUNT
    assert counts[REFUSED] > COUNT / 4
    assert counts[RUNS] > COUNT / 8, "most damage is small, and what is read is most often whole"
    assert len({each.mutation for each in outcomes}) > len(FOLDER) + 5
    assert max(each.peak for each in outcomes) < MORE_MEMORY


_SORTS = """
import json, os, sys
from tests.runtime.fuzz.worker import attempt, isolated
works = [
    lambda: os.kill(os.getpid(), 11),
    lambda: [None for _ in iter(int, 1)],
    lambda: ("runs", str(len(bytes(1 << 32)))),
    lambda: os._exit(3),
    lambda: ("runs", ""),
]
print(json.dumps([isolated(work, cpu_seconds=1)[0] for work in works]))
"""


def test_what_goes_wrong_is_noticed() -> None:
    """A crash, a loop for ever, more memory than is allowed, an end without a word; and what works."""
    command = [*python("x")[:2], "-c", _SORTS]
    ran = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True, timeout=120)
    outcomes = [outcome for outcome, _ in json.loads(ran.stdout)]
    assert outcomes == [CRASHED, HUNG, CRASHED, CRASHED, RUNS]


@pytest.mark.slow
def test_two_thousand_of_each() -> None:
    assert main(["--count", "2000"]) == 0
