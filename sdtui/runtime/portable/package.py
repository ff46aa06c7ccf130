"""A network on disk: the model that a ``.mlpackage`` or a compiled folder holds, and its weights."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sdtui.files import reason
from sdtui.runtime.network import NetworkError, TensorSpec
from sdtui.runtime.portable.program import NUMPY_DTYPES, Array, Blob, Feature, Model, Value
from sdtui.runtime.portable.specification import known, pipeline_models, read_model
from sdtui.runtime.portable.weights import WeightFile
from sdtui.runtime.portable.wire import MalformedError

_SHOWN = 200
_LONGEST, _DEEPEST = 255, 8
"""Bytes of a name and names of a path that every file system takes."""
_MANIFEST = "Manifest.json"
_MODEL_PATH = "@model_path/"
_LARGEST = 1 << 28
"""Bytes. The program of the largest Stable Diffusion network takes some 5 MB."""
_SPEC_DTYPES = ("fp16", "fp32", "int32")


@dataclass(frozen=True, eq=False)
class Package:
    """A network's files. ``folder`` is where the model file lies, which weight paths start from.

    ``weight_files`` are those that the program names, by these names; they need not be there.
    """

    path: Path
    folder: Path
    model: Model
    weight_files: Mapping[str, Path]
    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    _weights: dict[str, WeightFile] = field(default_factory=dict, repr=False)

    @property
    def weight_bytes(self) -> int:
        """Size on disk of the weight files that the program names."""
        return sum(file.stat().st_size for file in self.weight_files.values() if file.is_file())

    def array(self, value: Value) -> Array | str | tuple[str, ...]:
        """What a constant holds; a view of the weight file where it is kept there.

        Raises MalformedError when the file is missing, cut short, or holds something else.
        """
        if not isinstance(value.data, Blob):
            return value.data
        blob = value.data
        return self._file(blob.file).read(blob.offset, value.type.dtype, known(value.type.shape))

    def release(self) -> None:
        """Give back the memory of what was read; who still looks at a view reads the file anew."""
        for file in self._weights.values():
            file.release()

    def _file(self, name: str) -> WeightFile:
        if name not in self._weights:
            path = self.weight_files[name]
            if not path.is_file():
                raise MalformedError(f"{path.name} is missing")
            self._weights[name] = WeightFile(path)
        return self._weights[name]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever can be wrong with the files at ``path`` into a NetworkError."""
    try:
        yield
    except MalformedError as error:
        raise NetworkError(f"cannot load {path.name}", _legible(str(error)), error.remedy) from error
    except OSError as error:
        raise NetworkError(
            f"cannot load {path.name}", reason(error), "check the file and its permissions"
        ) from error
    except MemoryError as error:
        raise NetworkError(
            f"cannot load {path.name}", "memory ran out", "close other programs, or use a smaller model"
        ) from error


def _legible(text: str) -> str:
    """``text`` in one line of a size to read, whatever names a broken file has."""
    line = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}..."


def content(file: Path) -> bytes:
    """All of a file that says what a network is. Raises MalformedError when it cannot be one; OSError."""
    if not file.is_file():
        raise MalformedError(f"{file.name} is missing")
    if file.stat().st_size > _LARGEST:
        raise MalformedError(f"its {file.name} is larger than any program")
    return file.read_bytes()


def package_stages(path: Path) -> tuple[Path, ...]:
    """What :func:`open_package` is given for each model of a pipeline: ``model0`` in it, and so on.

    None for a package that is no pipeline. Raises NetworkError when it cannot be read.
    """
    if not (path / _MANIFEST).is_file():
        return ()
    with reading(path):
        models = pipeline_models(content(_model_file(path)))
    return tuple(path / f"model{index}" for index in range(len(models)))


def open_package(path: Path, function: str | None = None) -> Package:
    """Read what a ``.mlpackage`` says about its network; weights are read when asked for.

    ``function`` is the one wanted of several, None for the default one. A model of a pipeline goes by
    its path from :func:`package_stages`. Raises NetworkError when there is no such package, or a broken one.
    """
    if (path.parent / _MANIFEST).is_file() and path in (stages := package_stages(path.parent)):
        with reading(path):
            file = _model_file(path.parent)
            model = pipeline_models(content(file))[stages.index(path)]
            return package_of(path, file.parent, read_model(model, function))
    if not path.exists():
        raise NetworkError(f"cannot load {path.name}", f"{path} does not exist", "check the path")
    if path.suffix == ".mlmodelc":
        raise NetworkError(
            f"cannot read {path.name} as a package",
            "it is compiled",
            "use the .mlpackage that it was compiled from",
        )
    if not (path / _MANIFEST).is_file():
        raise NetworkError(
            f"cannot load {path.name}", "it is not an .mlpackage", "choose the folder of a Core ML model"
        )
    with reading(path):
        file = _model_file(path)
        return package_of(path, file.parent, read_model(content(file), function))


def package_of(path: Path, folder: Path, model: Model) -> Package:
    """The network ``model`` at ``path``. Raises MalformedError when its description does not fit it."""
    declared = {value.name: value for value in model.function.inputs}
    made = {output.name: output for op in model.function.operations for output in op.outputs} | declared
    given = {name: made[name] for name in model.function.outputs if name in made}
    inputs = _specs(model.inputs, declared)
    for name in declared.keys() - inputs.keys():
        raise MalformedError(f"its description has no {name!r}")
    return Package(
        path=path,
        folder=folder,
        model=model,
        weight_files={name: _inside(folder, name.removeprefix(_MODEL_PATH)) for name in _files(model)},
        inputs=inputs,
        outputs=_specs(model.outputs, given),
    )


def _files(model: Model) -> set[str]:
    """The weight files that the program names."""
    arguments = (each for operation in model.function.operations for each in operation.inputs.values())
    values = (bound for argument in arguments for bound in argument if isinstance(bound, Value))
    return {value.data.file for value in values if isinstance(value.data, Blob)}


def _model_file(path: Path) -> Path:
    try:
        manifest: Any = json.loads(content(path / _MANIFEST))
        entry = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]["path"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise MalformedError("its Manifest.json names no model") from error
    return _inside(path / "Data", str(entry))


def _inside(folder: Path, relative: str) -> Path:
    """``folder / relative``, which must not lead out of the folder. Links inside are the owner's."""
    parts = PurePosixPath(relative)
    if "\0" in relative or parts.is_absolute() or ".." in parts.parts:
        raise MalformedError("it points outside its own folder")
    if (
        any(len(part.encode(errors="replace")) > _LONGEST for part in parts.parts)
        or len(parts.parts) > _DEEPEST
    ):
        raise MalformedError("it names a file that cannot be")
    return folder / parts


def _specs(features: tuple[Feature, ...], declared: Mapping[str, Any]) -> dict[str, TensorSpec]:
    return {feature.name: _spec(feature, declared) for feature in features}


def _spec(feature: Feature, declared: Mapping[str, Any]) -> TensorSpec:
    if feature.name not in declared:
        raise MalformedError(f"its program has no {feature.name!r}")
    if feature.type.dtype not in _SPEC_DTYPES:
        raise MalformedError(f"its {feature.name!r} has the unsupported type {feature.type.dtype}")
    shape = known(feature.type.shape or declared[feature.name].type.shape, f"its {feature.name!r}")
    if any(size < 0 for size in shape):
        raise MalformedError(f"its {feature.name!r} has a negative size")
    return TensorSpec(shape, np.dtype(NUMPY_DTYPES[feature.type.dtype].newbyteorder("=")))
