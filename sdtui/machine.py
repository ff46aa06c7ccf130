"""Which machine and which system this is, in the words that people compare figures by. Light."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil

HALF_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""What processors that multiply bf16 themselves say in ``/proc/cpuinfo``: x86-64, then ARM."""
ASK_SECONDS = 10


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """``cpu`` is the chip's own name, ``model`` the computer's (``Mac14,9``; empty where nobody says).

    ``cores`` are those that this process may use, ``memory`` is in bytes, ``gpus`` are the names of NVIDIA's.
    ``bf16`` says whether the processor multiplies bf16 itself. ``os`` is how people call the system,
    ``build`` what changes with every update of it.
    """

    cpu: str
    model: str
    cores: int
    memory: int
    gpus: tuple[str, ...]
    bf16: bool
    os: str
    build: str

    @property
    def name(self) -> str:
        """``Apple M2 Pro (Mac14,9)``, ``AMD EPYC, 2 cores``; with the GPU where there is one."""
        known = f"{self.cpu} ({self.model})" if self.model else f"{self.cpu}, {self.cores} cores"
        return " + ".join((known, *self.gpus))


def this_machine() -> Machine:
    """Ask the system. What it does not tell is told as far as Python knows it."""
    mac = sys.platform == "darwin"
    return Machine(
        cpu=(_asked("sysctl", "-n", "machdep.cpu.brand_string") if mac else _linux_cpu())
        or platform.machine(),
        model=_asked("sysctl", "-n", "hw.model") if mac else "",
        cores=_cores(),
        memory=psutil.virtual_memory().total,
        gpus=() if mac else _nvidia(),
        bf16=_asked("sysctl", "-n", "hw.optional.arm.FEAT_BF16") == "1" if mac else _linux_bf16(),
        os=f"macOS {platform.mac_ver()[0]}" if mac else _linux_name(),
        build=os_build(),
    )


def os_build() -> str:
    """The build of macOS, such as ``24B83``, elsewhere the kernel's release."""
    build = _asked("/usr/bin/sw_vers", "-buildVersion") if sys.platform == "darwin" else ""
    return build or platform.release()


def load_average() -> float:
    """Processes that wanted a processor over the last minute, on average; 0 where nobody counts."""
    try:
        return os.getloadavg()[0]
    except OSError:
        return 0.0


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _linux_cpu() -> str:
    return _cpuinfo("model name") or _text(Path("/sys/firmware/devicetree/base/model")).strip("\0\n ")


def _linux_bf16() -> bool:
    flags = f"{_cpuinfo('flags')} {_cpuinfo('Features')}".split()
    return any(flag in flags for flag in HALF_FLAGS)


def _cpuinfo(field: str) -> str:
    """What ``/proc/cpuinfo`` says of the first processor."""
    match = re.search(rf"^{field}\s*:\s*(.*)$", _text(Path("/proc/cpuinfo")), re.MULTILINE)
    return match[1].strip() if match else ""


def _linux_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _nvidia() -> tuple[str, ...]:
    if shutil.which("nvidia-smi") is None:
        return ()
    return tuple(filter(None, _asked("nvidia-smi", "--query-gpu=name", "--format=csv,noheader").splitlines()))


def _asked(*command: str) -> str:
    """What a program of the system prints; nothing where it is not there or fails."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=ASK_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return ran.stdout.strip()


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
