"""``sdtui bench``: real trials of a tiny model, each in a process of its own."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from sdtui.bench.benchmark import Benchmark, Variant, _Progress, benchmark, request_for, significant
from sdtui.bench.errors import MeasurementError
from sdtui.bench.measurement import Load, Measurement, Steps, Trial
from sdtui.bench.outcome import outcome_of
from sdtui.bench.page import COLUMNS, markdown, page
from sdtui.bench.page_cache import PAGE, cached, forget
from sdtui.bench.theirs import _Diffusers
from sdtui.bundle import Bundle
from sdtui.conversion import Stage
from sdtui.spawn import environment, python
from tests.cli.conftest import Ran, sdtui
from tests.convert.folder import save_folder
from tests.tiny import TinyTorch

STEPS, REPEAT = 3, 2


@pytest.fixture(scope="module")
def ran(tiny_torch: TinyTorch, tiny_bundle_fp32: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """One command: a precision that works, one that cannot, and diffusers with the same weights."""
    checkpoint = save_folder(tiny_torch, tmp_path_factory.mktemp("checkpoint") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SDTUI_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("OMP_NUM_THREADS", "1")
        return sdtui(
            "bench", "--model", tiny_bundle_fp32, "--steps", str(STEPS), "--repeat", str(REPEAT),
            "--compute-units", "cpu-only", "--precision", "fp32,fp16",
            "--against", "diffusers", "--checkpoint", checkpoint, "--json",
        )  # fmt: skip


@pytest.fixture(scope="module")
def found(ran: Ran) -> Benchmark:
    return msgspec.json.decode(ran.out, type=Benchmark)


def test_every_figure_is_there_and_they_fit_together(ran: Ran, found: Benchmark) -> None:
    told = json.loads(ran.out)
    for each, measured in zip(told["measurements"], found.measurements, strict=True):
        times = [each[name] for name in ("start", "text", "decode", "end_to_end")]
        assert all(0 < seconds < 60 for seconds in times), each
        steps = measured.steps
        assert 0 < steps.fastest <= steps.median <= steps.slowest
        assert each["rate"] == pytest.approx(1 / steps.median)
        assert measured.end_to_end > steps.fastest * STEPS
        assert measured.memory > 100e6, "a process that has imported torch"
        assert 0 < measured.weights < 10e6
        for load in (measured.cold, measured.warm):
            assert load.seconds > 0
            assert load.started > load.seconds
        assert measured.request.steps == STEPS
        assert measured.repeat == REPEAT
    ours, theirs = found.measurements
    assert (ours.program, ours.runtime) == ("sdtui", "portable fp32")
    assert (theirs.program, theirs.runtime) == ("diffusers", "diffusers fp32 cpu")
    assert ours.overhead is not None
    assert 0 < ours.overhead < 0.9
    assert theirs.overhead is None


def test_both_made_the_same_picture_of_the_same_weights(found: Benchmark) -> None:
    ours, theirs = found.measurements
    assert ours.agreement is None
    assert theirs.agreement is not None
    assert theirs.agreement > 50
    (ratios,) = found.ratios
    assert ratios.runtime == ours.runtime
    assert ratios.step == pytest.approx(ours.steps.median / theirs.steps.median)
    assert ratios.memory == pytest.approx(ours.memory / theirs.memory)
    assert ratios.warm_load == pytest.approx(ours.warm.seconds / theirs.warm.seconds)
    assert ratios.warm_start == pytest.approx(ours.warm.started / theirs.warm.started)


def test_diffusers_is_compared_in_families_that_are_known(tiny_bundle_fp32: Path) -> None:
    bundle = Bundle.open(tiny_bundle_fp32)
    other = Bundle(bundle.path, msgspec.structs.replace(bundle.manifest, family="sdxl"))
    trial = Trial(program="diffusers", model="", request=request_for(bundle, STEPS), checkpoint="/none")
    with pytest.raises(MeasurementError, match="family sdxl"):
        _Diffusers(trial, other)


def test_what_cannot_run_is_told_beside_what_can(ran: Ran, found: Benchmark) -> None:
    (failure,) = found.failures
    assert failure.variant == "cpu-only fp16"
    assert "fp16" in failure.told
    assert ran.code == 1
    *progress, error = ran.err.splitlines()
    assert error.startswith("error: cpu-only fp16 was not measured, ")
    assert any("cpu-only fp32: denoising" in line for line in progress)
    assert any("diffusers: denoising" in line for line in progress)


def test_the_markdown_table_reads_back(found: Benchmark) -> None:
    head, rule, *rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in markdown(found)]
    assert tuple(head) == COLUMNS
    assert rule == ["---"] * len(COLUMNS)
    for row, measured in zip(rows, found.measurements, strict=True):
        cells = dict(zip(COLUMNS, row, strict=True))
        assert float(cells["End-to-End Latency (s)"]) == pytest.approx(measured.end_to_end, rel=0.01)
        assert float(cells["Diffusion Speed (iter/s)"]) == pytest.approx(measured.rate, rel=0.01)
        assert float(cells["Peak Memory (GB)"]) == pytest.approx(measured.memory / 1e9, rel=0.01)
        assert cells["Model"] == "Tiny"
        assert cells["Variant"].startswith(f"64 × 64, {STEPS} steps")
        assert cells["`--compute-unit`"] == measured.runtime
        assert cells["Device"] == found.machine.name


def test_a_mac_publishes_its_units_as_apple_writes_them(found: Benchmark) -> None:
    measured = msgspec.structs.replace(
        found.measurements[0],
        runtime="coreml cpu-and-ne",
        cold=Load(seconds=120.0, first_step=0.5, cached=None, compiled=3),
    )
    mac = msgspec.structs.replace(
        found,
        measurements=(measured,),
        machine=msgspec.structs.replace(found.machine, cpu="Apple M2 | Pro", model="Mac14,9"),
        model=msgspec.structs.replace(
            found.model, attention="SPLIT_EINSUM_V2", nbits=6.0, encoding="palettized"
        ),
    )
    row = markdown(mac)[-1]
    for cell in ("`CPU_AND_NE`", "`SPLIT_EINSUM_V2`", "6-bit palettized", "Apple M2 \\| Pro (Mac14,9)"):
        assert cell in row
    assert "an unknown part of its files in memory and 3 compiled" in "\n".join(page(mac))


def test_a_person_reads_every_figure(found: Benchmark) -> None:
    text = "\n".join(page(found))
    for words in (
        "portable fp32", "diffusers fp32 cpu", "load, first", "load, again", "first step", "end to end",
        "overhead", "memory, at most", "of diffusers'", "of its files in memory", "cpu-only fp16: cannot run",
        f"{STEPS} steps", found.machine.cpu,
    ):  # fmt: skip
        assert words in text
    assert "the machine was busy" in "\n".join(page(msgspec.structs.replace(found, load_average=99.0)))


@pytest.mark.usefixtures("home")
def test_an_interrupt_leaves_nothing_behind() -> None:
    process = subprocess.Popen(
        python("sdtui", "bench", "--steps", "1000"), env=environment(), stderr=subprocess.PIPE, text=True
    )
    children: list[psutil.Process] = []
    deadline = time.monotonic() + 60
    while not children:
        assert time.monotonic() < deadline
        assert process.poll() is None
        children = psutil.Process(process.pid).children(recursive=True)
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_a_child_that_is_killed_is_told(tiny_bundle_fp32: Path) -> None:
    order = Trial(
        program="sdtui",
        model=str(tiny_bundle_fp32),
        request=request_for(Bundle.open(tiny_bundle_fp32), STEPS),
    )

    def kill(_stage: Stage) -> None:
        for child in psutil.Process().children():
            if "sdtui.bench.process" in child.cmdline():
                child.kill()

    with pytest.raises(MeasurementError, match="was killed, perhaps because memory ran out"):
        outcome_of("sdtui.bench.process", order, Measurement, kill)


def test_nothing_measured_is_an_error(tiny_bundle_fp32: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdtui.bench.benchmark.MODULE", "sdtui.bench.none")
    bundle = Bundle.open(tiny_bundle_fp32)
    with pytest.raises(MeasurementError, match="exit status 1"):
        benchmark(bundle, request_for(bundle, 1), [Variant("cpu-only", "fp32")], repeat=1)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--precision", "fp8"), 2, "'fp8' is unknown"),
        (("--compute-units", "all,gpu"), 2, "'gpu' is unknown"),
        (("--json", "--markdown"), 2, "--json is not --markdown"),
        (("--checkpoint", "."), 2, "--against"),
        (("--repeat", "0"), 2, "greater than or equal to 1"),
        (("--steps", "0"), 2, "steps"),
        (("--against", "diffusers"), 1, "--checkpoint"),
        (("--against", "diffusers", "--checkpoint", "."), 1, "no diffusers folder"),
        (("--model", "none"), 1, "there is no model none"),
    ],
)
def test_refusals(
    arguments: tuple[str, ...], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from sdtui.cli import main

    assert main(["bench", *arguments]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert words in told.err


def test_first_steps_are_kept_apart() -> None:
    assert Steps.of([[9.0, 1.0, 3.0], [7.0, 2.0, 2.0]]) == Steps(
        first=8.0, median=2.0, fastest=1.0, slowest=3.0
    )
    assert Steps.of([[2.0], [4.0]]) == Steps(first=3.0, median=3.0, fastest=2.0, slowest=4.0)


def test_an_estimate_covers_the_trials_to_come() -> None:
    heard: list[Stage] = []
    progress = _Progress(2, heard.append)
    hear = progress.of("all fp32")
    hear(Stage("sdtui", "loading", 0.0, 1.0, None))
    hear(Stage("sdtui", "denoising", 0.5, 10.0, 10.0))
    progress.trial_ended()
    progress.of("diffusers")(Stage("diffusers", "denoising", 0.5, 0.0, 4.0))
    assert [stage.fraction for stage in heard] == [0.0, 0.25, 0.75]
    assert [stage.remaining for stage in heard] == [None, 30.0, 4.0]
    assert heard[0].network == "all fp32"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.02914, "0.0291"), (28.43, "28.4"), (1.0, "1.00"), (123.4, "123"), (4321.0, "4321"), (0.0, "0")],
)
def test_figures_have_three_digits_that_mean_something(value: float, text: str) -> None:
    assert significant(value) == text


def test_the_page_cache_is_seen(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two", tmp_path / "empty"]
    for file, pages in zip(files, (3, 5, 0), strict=True):
        file.write_bytes(b"\1" * (PAGE * pages))
        file.read_bytes()
    assert cached(files) == 1.0
    forget(files)
    left = cached(files)
    assert left is not None
    assert 0 <= left <= 1, "some file systems live in memory"
    assert cached([tmp_path / "empty"]) is None
    assert [len(file.read_bytes()) for file in files] == [3 * PAGE, 5 * PAGE, 0]
