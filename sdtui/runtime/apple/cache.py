"""From a network on disk to a compiled one that stays where it is.

It must stay: macOS ties what it prepares for the chip, for minutes, to the path of the compiled
network. So one is compiled once for each build of macOS, under a name that depends on its content.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from sdtui.errors import SdtuiError
from sdtui.files import reason
from sdtui.runtime.apple.entries import (
    cache_entries,
    cache_folder,
    cache_limit,
    lock_of,
    prune,
    remove,
    unfinished,
)
from sdtui.runtime.apple.identity import content_sha256, size, stamp
from sdtui.runtime.apple.lock import FileLock
from sdtui.runtime.apple.macos import MacOS, this_macos
from sdtui.runtime.apple.progress import LoadClock
from sdtui.runtime.apple.record import Interface, Record, read_record, write_record
from sdtui.runtime.compiled import compiled_specs
from sdtui.runtime.network import NetworkError
from sdtui.runtime.portable.compiled import open_network
from sdtui.runtime.portable.package import open_package
from sdtui.settings import Settings

_COMPILED = "network.mlmodelc"
_DIGITS = 32


class Lease:
    """A compiled network in use: nobody removes it before :meth:`release`."""

    def __init__(
        self, folder: Path, record: Record, lock: FileLock, compile_: Callable[[], Record], fresh: bool
    ) -> None:
        self.folder = folder
        self.record = record
        self._lock = lock
        self._compile = compile_
        self._fresh = fresh

    @property
    def compiled(self) -> Path:
        """The ``.mlmodelc``."""
        return self.folder / self.record.compiled

    def remember(self, **changes: Any) -> None:
        """Change fields of the record, and keep them for the next start where the disk lets us."""
        self.record = msgspec.structs.replace(self.record, **changes)
        with contextlib.suppress(OSError):
            write_record(self.folder, self.record)

    def renew(self) -> bool:
        """Compile it again; False where that is of no use: it was just compiled, it is an imported
        one, or another process runs it, which proves it whole. Raises :class:`NetworkError`.
        """
        if self._fresh or self.record.compiled != _COMPILED:
            return False
        self._fresh = True
        try:
            if not self._lock.try_own():
                return False
            self.record = self._compile()
            return True
        except OSError as error:
            raise _no_room(Path(next(iter(self.record.sources))), error) from error
        finally:
            self._lock.share()

    def release(self) -> None:
        """It may be removed now."""
        self._lock.release()


class CompiledCache:
    """The compiled networks of one person, under ``folder``, kept under ``limit`` bytes."""

    def __init__(
        self, folder: Path | None = None, limit: int | None = None, macos: MacOS | None = None
    ) -> None:
        self.folder = folder or cache_folder()
        self.limit = limit if limit is not None else _limit()
        self.macos = macos or this_macos()

    def lease(self, path: Path, function: str | None, tell: LoadClock) -> Lease:
        """``path`` compiled: found here, compiled now, or ``path`` itself where it is a ``.mlmodelc``.

        Another process that compiles the same is waited for. Raises :class:`NetworkError`.
        """
        try:
            lease = self._leased(path, tell)
        except OSError as error:
            raise _no_room(path, error) from error
        try:
            self._introduce(lease, path, function or "")
        except BaseException:
            lease.release()
            raise
        return lease

    def _leased(self, path: Path, tell: LoadClock) -> Lease:
        if not path.exists():
            raise NetworkError(f"cannot load {path.name}", f"{path} does not exist", "check the path")
        compile_, folder = self._compiler(path, tell)
        lock, fresh = lock_of(folder), False
        try:
            while True:
                lock.share()
                if record := read_record(folder):
                    return Lease(folder, record, lock, compile_, fresh)
                lock.own()
                if read_record(folder) is None:
                    compile_()
                    fresh = True
                    lock.share()
                    prune(self.limit, self.folder)
        except BaseException:
            lock.release()
            raise

    def _compiler(self, path: Path, tell: LoadClock) -> tuple[Callable[[], Record], Path]:
        """What makes the entry for ``path``, its lock held alone, and where that lies."""
        if path.suffix == ".mlmodelc":
            digest = hashlib.sha256(f"{path.resolve()}\0{stamp(path)}".encode()).hexdigest()
            folder = self._folder(digest)
            return lambda: self._adopt(path, digest, folder), folder
        if not (path / "Manifest.json").is_file():
            open_package(path)  # tells what it is instead
        known = self._recognised(path)
        digest = known or content_sha256(path)
        folder = self._folder(digest)
        return lambda: self._compile(path, digest, folder, tell), folder

    def _folder(self, digest: str) -> Path:
        return self.folder / f"{digest[:_DIGITS]}-{self.macos.build}"

    def _recognised(self, path: Path) -> str | None:
        """The content hash of a package that was here before and has not changed: nothing is read."""
        source, looks = str(path.resolve()), stamp(path)
        for folder in self.folder.glob("*-*"):
            record = read_record(folder)
            if record and record.sources.get(source) == looks:
                return record.sha256
        return None

    def _adopt(self, path: Path, digest: str, folder: Path) -> Record:
        """Keep a record of an imported ``.mlmodelc``, and no copy."""
        record = self._record(path, digest, str(path.resolve()))
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder, record)
        return record

    def _compile(self, path: Path, digest: str, folder: Path, tell: LoadClock) -> Record:
        import coremltools

        open_package(path)  # a broken one is told as such, and nothing is compiled
        earlier = self._earlier(folder)
        before = earlier.seconds if earlier else {}
        making = unfinished(folder)
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
        self._demand_room(path)
        tell("compiling", before.get("compiling"))
        began = time.perf_counter()
        making.mkdir(parents=True)
        try:
            coremltools.models.utils.compile_model(str(path), str(making / _COMPILED))
            record = msgspec.structs.replace(
                self._record(path, digest, _COMPILED),
                interfaces=earlier.interfaces if earlier else {},
                seconds={**before, "compiling": time.perf_counter() - began},
            )
            write_record(making, record)
            making.rename(folder)
        except (OSError, SdtuiError):
            raise
        except Exception as error:  # coremltools raises bare Exception and RuntimeError
            raise NetworkError(
                f"Core ML cannot compile {path.name}", first_line(error), "convert the model again"
            ) from error
        finally:
            shutil.rmtree(making, ignore_errors=True)
        for stale in self._others(folder):
            remove(stale)
        return record

    def _record(self, path: Path, digest: str, compiled: str) -> Record:
        import coremltools

        return Record(
            sha256=digest,
            compiled=compiled,
            sources={str(path.resolve()): stamp(path)},
            weight_bytes=sum(file.stat().st_size for file in path.glob("**/weights/*") if file.is_file()),
            macos=self.macos.product,
            os_build=self.macos.build,
            coremltools=coremltools.__version__,
        )

    def _earlier(self, folder: Path) -> Record | None:
        """What was known of the same network, from this build of macOS or the one before."""
        records = [record for each in (folder, *self._others(folder)) if (record := read_record(each))]
        return max(records, key=lambda record: record.used, default=None)

    def _others(self, folder: Path) -> list[Path]:
        """The same network, compiled for other builds of macOS."""
        same = folder.parent.glob(f"{folder.name[:_DIGITS]}-*")
        return [each for each in same if each != folder]

    def _demand_room(self, path: Path) -> None:
        """Compiling copies the weights, preparing them for the chip does again; and a full disk breaks
        what macOS prepares for good (apple/coremltools#2507)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = 2 * size(path), self._free()
        if free < needed:
            held = sum(entry.bytes for entry in cache_entries(self.folder))
            prune(max(0, held + free - needed), self.folder)
            free = self._free()
        if free < needed:
            raise NetworkError(
                f"cannot compile {path.name}",
                f"it takes {needed / 1e9:.1f} GB of disk and {free / 1e9:.1f} GB are free",
                f"make room in {self.folder}",
            )

    def _free(self) -> int:
        return shutil.disk_usage(self.folder).free

    def _introduce(self, lease: Lease, path: Path, function: str) -> None:
        """Have the record know this path and function."""
        record = lease.record
        if function not in record.interfaces:
            lease.remember(interfaces={**record.interfaces, function: _interface(path, function)})
        source, looks = str(path.resolve()), stamp(path)
        if record.sources.get(source) != looks:
            lease.remember(sources={**record.sources, source: looks})


def _interface(path: Path, function: str) -> Interface:
    """What a network says of itself: a compiled one in ``metadata.json``, where it has that."""
    if not function and (path / "metadata.json").exists():
        return Interface.of(*compiled_specs(path))
    package = open_network(path, function or None)
    return Interface.of(package.inputs, package.outputs)


def _no_room(path: Path, error: OSError) -> NetworkError:
    remedy = f"make {cache_folder()} writable, with room in it"
    return NetworkError(f"cannot compile {path.name}", reason(error), remedy)


def first_line(error: Exception) -> str:
    """What coremltools says, without the details that follow."""
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return text[:1].lower() + text[1:] or type(error).__name__


def _limit() -> int:
    try:
        return cache_limit()
    except SdtuiError:  # pictures are made where the settings are broken; the interface says so
        return int(Settings().compiled_cache_gigabytes * 1e9)
