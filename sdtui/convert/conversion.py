"""A conversion from request to bundle: a plan, a process for each network, and the parts put together.

Light: what is heavy runs in :mod:`sdtui.convert.step`, so that this process stays small for hours.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from sdtui.bundle.bundle import MANIFEST_FILE, Bundle
from sdtui.bundle.manifest import Manifest, NetworkEntry, NetworkRole
from sdtui.conversion import (
    ConversionEvent,
    ConversionReport,
    ConversionRequest,
    Forecast,
    NetworkReport,
    Stage,
)
from sdtui.convert.pace import Pace
from sdtui.convert.plan import Plan
from sdtui.convert.running import Run, run_step
from sdtui.convert.workspace import Workspace
from sdtui.errors import SdtuiError
from sdtui.files import reason

OnEvent = Callable[[ConversionEvent], None]
Cancelled = Callable[[], bool]


class ConversionStoppedError(SdtuiError):
    """There is no bundle: it cannot be written, or another conversion is at work on it."""


def forecast(request: ConversionRequest, cancelled: Cancelled = lambda: False) -> Forecast:
    """What ``request`` will take; what had to be unpacked to know is removed again.

    Raises SdtuiError; KeyboardInterrupt when it was cancelled.
    """
    with _workspace(request) as workspace:
        return _plan(workspace, lambda _: None, cancelled, run_step).forecast


def convert(
    request: ConversionRequest,
    on_event: OnEvent,
    cancelled: Cancelled = lambda: False,
    run: Run = run_step,
) -> ConversionReport:
    """Make the bundle of ``request`` at its output, which appears whole or not at all.

    ``on_event`` hears the forecast, how far it is, each network's report. When it is ``cancelled``,
    fails or is killed, what is done is kept beside the output and the same request goes on from there.
    ``run`` carries out one step, by default in a process of its own. Raises SdtuiError;
    KeyboardInterrupt when it was cancelled.
    """
    started = time.monotonic()
    output = Path(request.output).expanduser().absolute()
    with _workspace(request) as workspace:
        plan = _plan(workspace, on_event, cancelled, run)
        on_event(plan.forecast)
        workspace.keep_to_plan()
        reports = _make(workspace, plan, on_event, cancelled, run)
        with _writing(output):
            _assemble(workspace, plan, request)
            workspace.assembled.rename(output)
        workspace.remove()
    return ConversionReport(
        path=str(output),
        source=plan.manifest.source,
        family=plan.manifest.family,
        seconds=round(time.monotonic() - started, 1),
        networks=reports,
        warnings=[*plan.warnings, *plan.forecast.warnings],
    )


@contextlib.contextmanager
def _workspace(request: ConversionRequest) -> Iterator[Workspace]:
    """The workspace of ``request``, ours alone; one that holds nothing worth keeping goes afterwards."""
    output = Path(request.output).expanduser().absolute()
    Workspace.sweep(output.parent)
    if output.exists() or output.is_symlink():
        raise ConversionStoppedError(
            f"{output} cannot be made", "it is there already", "choose another place, or remove it"
        )
    workspace = Workspace.beside(output)
    with _writing(output):
        workspace.root.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(workspace.held())
        except OSError as error:
            raise ConversionStoppedError(
                f"{output} cannot be made", "another conversion is making it", "wait for that one"
            ) from error
        try:
            with _writing(output):
                workspace.begin(request)
            yield workspace
        finally:
            if not workspace.has_work:
                workspace.remove()


def _plan(workspace: Workspace, on_event: OnEvent, cancelled: Cancelled, run: Run) -> Plan:
    started = time.monotonic()

    def on_progress(stage: str, _fraction: float) -> None:
        on_event(Stage("", stage, 0.0, round(time.monotonic() - started, 1), None))

    run(workspace.root, None, on_progress, cancelled)
    return workspace.plan


def _make(
    workspace: Workspace, plan: Plan, on_event: OnEvent, cancelled: Cancelled, run: Run
) -> list[NetworkReport]:
    """Make the networks that are not there yet, one after the other."""
    pace = Pace(plan, {network.key for network in plan.networks if workspace.made(network.key)})
    reports: list[NetworkReport] = []
    for network in plan.networks:
        made = workspace.made(network.key)
        if made is None:

            def on_progress(stage: str, fraction: float, key: str = network.key) -> None:
                on_event(pace.at(key, stage, fraction))

            run(workspace.root, network.key, on_progress, cancelled)
            made = workspace.made(network.key)
            pace.done(network.key)
        assert made is not None
        for report in made.reports:
            on_event(report)
        reports += made.reports
    return reports


def _assemble(workspace: Workspace, plan: Plan, request: ConversionRequest) -> None:
    """Put words, packages and manifest together, anew each time; what they are made of stays."""
    bundle = workspace.assembled
    shutil.rmtree(bundle, ignore_errors=True)
    shutil.copytree(workspace.words, bundle)
    networks: dict[NetworkRole, NetworkEntry] = {}
    controlnets: dict[str, NetworkEntry] = {}
    preview = plan.manifest.preview
    for network in plan.networks:
        made = workspace.made(network.key)
        assert made is not None
        preview = made.preview or preview
        if network.name is not None:
            controlnets[network.name] = made.entries["controlnet"]
        else:
            networks |= made.entries
        shutil.copytree(
            workspace.converted(network.key), bundle, copy_function=_link_or_copy, dirs_exist_ok=True
        )
    manifest: Manifest = msgspec.structs.replace(
        plan.manifest, networks=networks, controlnets=controlnets, preview=preview
    )
    content = msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"
    (bundle / MANIFEST_FILE).write_bytes(content)
    if request.swift_resources:
        from sdtui.bundle.swift import write_swift_resources

        write_swift_resources(Bundle.open(bundle), bundle / "Resources")


def _link_or_copy(source: str, destination: str) -> None:
    """Packages of different sizes that share a weight file go on sharing it."""
    try:
        os.link(source, destination)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, destination)


@contextlib.contextmanager
def _writing(output: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConversionStoppedError(
            f"{output} cannot be written", reason(error), "choose another place, or make room"
        ) from error
