"""A process that damages networks and loads each in a child of its own, with little memory and time.

Arguments: a folder of networks, the ending of those to take, a seed, the first case and how many. It
tells each :class:`Outcome` as a line of JSON. Torch is imported once, and no thread runs when a child
is made.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from random import Random

import msgspec
import numpy as np
import psutil
import torch

from sdtui.runtime import NetworkError, load_network
from tests.runtime.fuzz.mutations import mutated

MEMORY = 1 << 30
"""Bytes that a child may map beyond what it begins with; the networks take a thousandth of it."""
CPU_SECONDS = 15
SECONDS = 120
"""A child that waits rather than computes ends after these; generous, for the machine may be busy."""
LARGEST_INPUT = 1 << 20
"""Elements of an input that are given; one digit more in a shape asks for a thousand times as many."""

REFUSED, FAILED, RUNS = "refused", "refused to run", "runs"
ESCAPED, CRASHED, HUNG = "another error", "crashed", "hung"
GOOD = (REFUSED, FAILED, RUNS)
BAD = (ESCAPED, CRASHED, HUNG)


Told = tuple[str, str]
"""An outcome, and what was said of it."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one case. ``peak``: bytes of memory, beyond those that a whole network takes."""

    case: int
    network: str
    mutation: str
    outcome: str
    detail: str
    peak: int


def main(folder: str, ending: str, seed: str, first: str, count: str) -> None:
    torch.set_num_threads(1)
    samples = sorted(path for path in Path(folder).iterdir() if path.suffix == ending)
    usual = 0
    for sample in samples:
        load_network(sample, "cpu-only", "fp32").close()  # what it imports, no child imports again
        (outcome, detail), peak = isolated(partial(attempt, sample))
        assert outcome == RUNS, detail
        usual = max(usual, peak)
    for case in range(int(first), int(first) + int(count)):
        with tempfile.TemporaryDirectory() as place:
            random = Random(f"{seed} {ending} {case}")
            network, mutation = mutated(random, samples, Path(place))
            (outcome, detail), peak = isolated(partial(attempt, network))
            told = Outcome(case, network.name, mutation, outcome, detail, max(0, peak - usual))
            sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
            sys.stdout.flush()


def isolated(work: Callable[[], Told], cpu_seconds: int = CPU_SECONDS) -> tuple[Told, int]:
    """What ``work`` returns in a child with little memory and time, or how that died; its peak memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            _limit(cpu_seconds)
            with os.fdopen(writing, "wb") as pipe:
                pipe.write(msgspec.json.encode(work()))
        finally:
            os._exit(1)  # whatever happened, this copy of the process goes no further
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status, usage = os.wait4(child, 0)
    return _understood(told, status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _understood(told: bytes, status: int) -> Told:
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return (HUNG if name in ("SIGXCPU", "SIGALRM") else CRASHED), name
    if not told:
        return CRASHED, "it ended without a word"
    outcome, detail = msgspec.json.decode(told, type=Told)
    return outcome, detail


def _limit(cpu_seconds: int) -> None:
    process = psutil.Process()
    if sys.platform != "darwin":  # which knows this limit by name only
        resource.setrlimit(resource.RLIMIT_AS, (process.memory_info().vms + MEMORY,) * 2)
    used = process.cpu_times()
    seconds = int(used.user + used.system) + cpu_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(SECONDS)


def attempt(path: Path) -> Told:
    """Load the network and run it, as somebody would who cannot know what is in it."""
    loaded = False
    try:
        network = load_network(path, "cpu-only", "fp32")
        loaded = True
        if all(prod(spec.shape) <= LARGEST_INPUT for spec in network.inputs.values()):
            network.predict({name: np.zeros(spec.shape, np.float32) for name, spec in network.inputs.items()})
        network.close()
    except NetworkError as error:
        whole = error.what and error.why and error.remedy and "\n" not in str(error) and len(str(error)) < 500
        return (FAILED if loaded else REFUSED) if whole else ESCAPED, str(error)
    except BaseException as error:
        return ESCAPED, f"{type(error).__name__}: {error}"
    return RUNS, ""


if __name__ == "__main__":
    main(*sys.argv[1:])
