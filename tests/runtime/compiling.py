"""A process that loads a network on the imitated framework, and tells and obeys over its pipes.

Arguments: the package, the cache folder, a file that each compilation adds a line to. It says
``compiling`` when half is written and waits for a line; it says ``ready`` at the end.
"""

from __future__ import annotations

import sys
from pathlib import Path

from sdtui.runtime.apple import AppleNetwork
from sdtui.runtime.apple.cache import CompiledCache
from sdtui.runtime.apple.macos import MacOS
from tests.runtime.framework import Framework


def main(package: str, folder: str, log: str) -> None:
    framework = Framework()

    def waiting(_destination: Path) -> None:
        with Path(log).open("a") as file:
            file.write("compiled\n")
        print("compiling", flush=True)
        sys.stdin.readline()

    framework.while_compiling = waiting
    sys.modules["coremltools"] = framework.module  # type: ignore[assignment]
    cache = CompiledCache(Path(folder), 10**12, MacOS("15.1", "24B83"))
    print("begun", flush=True)
    AppleNetwork(Path(package), "cpu-only", cache=cache)
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
