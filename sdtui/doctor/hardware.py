"""The machine that pictures are made on."""

from __future__ import annotations

from collections.abc import Iterator

import psutil

from sdtui.conversion_page import amount
from sdtui.doctor.finding import Finding
from sdtui.machine import Machine, load_average

SECTION = "machine"
SCARCE = 2_000_000_000
"""Free bytes below which a model of a usual size makes the machine swap."""


def hardware(machine: Machine) -> Iterator[Finding]:
    """Processor, memory, accelerators and system."""
    yield Finding(
        section=SECTION, subject="processor",
        told=f"{machine.name}, {'multiplies' if machine.bf16 else 'does not multiply'} bf16 itself",
        figures={"cores": machine.cores, "bf16": machine.bf16},
    )  # fmt: skip
    memory = psutil.virtual_memory()
    scarce = memory.available < SCARCE
    yield Finding(
        section=SECTION, subject="memory", level="note" if scarce else "ok",
        told=f"{amount(memory.available)} of {amount(memory.total)} free",
        remedy="close other programs before large models" if scarce else "",
        figures={"available": memory.available, "total": memory.total},
    )  # fmt: skip
    if machine.os.startswith("macOS"):
        yield Finding(section=SECTION, subject="accelerator", told="Core ML: GPU and Neural Engine")
    elif machine.gpus:
        yield Finding(section=SECTION, subject="accelerator", told=", ".join(machine.gpus))
    else:
        yield Finding(section=SECTION, subject="accelerator", told="none seen: the processor computes")
    yield Finding(
        section=SECTION, subject="system", told=f"{machine.os} ({machine.build})",
        figures={"build": machine.build, "load_average": round(load_average(), 2)},
    )  # fmt: skip
