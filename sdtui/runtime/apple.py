"""The Core ML framework, through coremltools: compiled once, loaded from the cache ever after."""

from __future__ import annotations

import hashlib
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from sdtui.files import create_folder_atomically, reason
from sdtui.request import ComputeUnits
from sdtui.runtime.compiled import compiled_specs
from sdtui.runtime.inputs import checked
from sdtui.runtime.network import Array, NetworkError, TensorSpec
from sdtui.runtime.portable.package import open_package
from sdtui.settings import places

_UNITS = {
    "all": "ALL",
    "cpu-only": "CPU_ONLY",
    "cpu-and-gpu": "CPU_AND_GPU",
    "cpu-and-ne": "CPU_AND_NE",
}
_COMPILED = "network.mlmodelc"
_HASHED_AT_ONCE = 1 << 22

_retired: dict[TensorSpec, list[Array]] = {}
"""Input buffers of closed networks, to be used again and never freed.

Core ML lets go of its inputs about a second after a prediction, without Python's lock: it must never
hold the last reference.
"""


class CompiledIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What a compiled network in the cache was made from, written beside it as JSON."""

    sha256: str
    source: str
    os_build: str
    coremltools: str
    inputs: dict[str, tuple[list[int], str]]
    outputs: dict[str, tuple[list[int], str]]


class AppleNetwork:
    """A network run by the Core ML framework.

    A ``.mlpackage`` is compiled into ``cache`` (the person's cache folder by default), at a path that
    depends on its content, the build of macOS and the compute units. It must not move: the system
    ties what it prepares for the chip to that path. A ``.mlmodelc`` is used where it is.

    Raises :class:`NetworkError` when the path holds no network or Core ML does not take it.
    """

    def __init__(self, path: Path, compute_units: ComputeUnits = "all", cache: Path | None = None) -> None:
        import coremltools

        self._name = path.name
        self.runtime = f"coreml {compute_units}"
        units = coremltools.ComputeUnit[_UNITS[compute_units]]
        if path.suffix == ".mlmodelc":
            if not path.is_dir():
                raise NetworkError(f"cannot load {path.name}", f"{path} does not exist", "check the path")
            self.inputs, self.outputs = compiled_specs(path)
            self.weight_bytes = _weight_bytes(path)
            self._model: Any = self._loaded(coremltools, path, units)
        else:
            package = open_package(path)
            self.inputs, self.outputs = dict(package.inputs), dict(package.outputs)
            self.weight_bytes = package.weight_bytes
            folder = cache if cache is not None else places().cache
            self._model = self._loaded_from_cache(coremltools, path, units, compute_units, folder)
        self._buffers = {name: _buffer(spec) for name, spec in self.inputs.items()}

    def predict(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run once: arrays of the shapes of ``inputs`` to float32 or int32 arrays, by name.

        Raises :class:`NetworkError` for a missing, unknown or wrongly shaped input, and when Core ML
        fails.
        """
        if self._model is None:
            raise NetworkError(f"cannot run {self._name}", "it is closed", "load it again")
        for name, array in checked(self._name, self.inputs, inputs).items():
            np.copyto(self._buffers[name], array)
        try:
            # A new dictionary, because coremltools writes to the one it gets.
            results = self._model.predict(dict(self._buffers))
            return {name: _result(results[name], spec) for name, spec in self.outputs.items()}
        except Exception as error:  # coremltools raises bare Exception and RuntimeError
            raise NetworkError(
                f"Core ML cannot run {self._name}", _first_line(error), "choose other compute units"
            ) from error

    def close(self) -> None:
        """Give the memory back; the network cannot be used afterwards."""
        self._model = None
        for name, buffer in self._buffers.items():
            _retired.setdefault(self.inputs[name], []).append(buffer)
        self._buffers = {}

    def _loaded_from_cache(
        self, coremltools: Any, path: Path, units: Any, compute_units: ComputeUnits, cache: Path
    ) -> Any:
        digest = _sha256(path)
        folder = cache / "coreml" / f"{digest[:32]}-{compute_units}-{_os_build()}"
        if folder.is_dir():
            try:
                return self._loaded(coremltools, folder / _COMPILED, units)
            except NetworkError:
                shutil.rmtree(folder, ignore_errors=True)
        self._compile(coremltools, path, digest, folder)
        for stale in folder.parent.glob(f"{digest[:32]}-{compute_units}-*"):
            if stale != folder:
                shutil.rmtree(stale, ignore_errors=True)
        return self._loaded(coremltools, folder / _COMPILED, units)

    def _compile(self, coremltools: Any, path: Path, digest: str, folder: Path) -> None:
        identity = CompiledIdentity(
            sha256=digest,
            source=str(path.resolve()),
            os_build=_os_build(),
            coremltools=coremltools.__version__,
            inputs={name: (list(spec.shape), spec.dtype.name) for name, spec in self.inputs.items()},
            outputs={name: (list(spec.shape), spec.dtype.name) for name, spec in self.outputs.items()},
        )
        try:
            with create_folder_atomically(folder) as unfinished:
                unfinished.mkdir()
                coremltools.models.utils.compile_model(str(path), str(unfinished / _COMPILED))
                (unfinished / "network.json").write_bytes(msgspec.json.encode(identity))
        except FileExistsError:
            return  # another process has compiled it meanwhile
        except OSError as error:
            raise NetworkError(
                f"cannot compile {self._name}", reason(error), f"make room in {folder.parent}"
            ) from error
        except Exception as error:  # coremltools raises bare Exception and RuntimeError
            raise NetworkError(
                f"Core ML cannot compile {self._name}", _first_line(error), "convert the model again"
            ) from error

    def _loaded(self, coremltools: Any, compiled: Path, units: Any) -> Any:
        try:
            return coremltools.models.CompiledMLModel(str(compiled), compute_units=units)
        except Exception as error:  # coremltools raises bare Exception and RuntimeError
            raise NetworkError(
                f"Core ML cannot load {self._name}", _first_line(error), "choose other compute units"
            ) from error


def _buffer(spec: TensorSpec) -> Array:
    """A writeable, contiguous array that Core ML may read in place. Core ML knows no rank 0."""
    retired = _retired.get(spec)
    if retired:
        return retired.pop()
    return np.zeros(spec.shape or (1,), np.float32 if spec.dtype.kind == "f" else np.int32)


def _result(result: Any, spec: TensorSpec) -> Array:
    return np.array(result, np.float32 if spec.dtype.kind == "f" else np.int32)


def _weight_bytes(compiled: Path) -> int:
    return sum(file.stat().st_size for file in compiled.glob("**/weights/*") if file.is_file())


def _sha256(package: Path) -> str:
    """Over the package's files in path order, each with its path and size."""
    digest = hashlib.sha256()
    for file in sorted(file for file in package.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(package).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(_HASHED_AT_ONCE):
                digest.update(block)
    return digest.hexdigest()


def _os_build() -> str:
    """The build of macOS, such as ``24B83``: an update changes it even where the version stays."""
    try:
        build = subprocess.run(
            ["/usr/bin/sw_vers", "-buildVersion"], capture_output=True, text=True, check=True, timeout=10
        )
        return build.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return platform.release()


def _first_line(error: Exception) -> str:
    text = str(error).strip().partition("\n")[0].rstrip(".")
    return text[:1].lower() + text[1:] or type(error).__name__
