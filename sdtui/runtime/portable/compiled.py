"""A compiled ``.mlmodelc`` on disk: its program as text, and its weights.

``model.mil`` and ``weights/weight.bin`` are the network; ``metadata.json``, which only Xcode's compiler
writes, says what its author wrote, and the shapes that a program for several sizes leaves open.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from sdtui.runtime.network import NetworkError
from sdtui.runtime.portable.mil_text import read_text
from sdtui.runtime.portable.package import Package, content, open_package, package_of, package_stages, reading
from sdtui.runtime.portable.program import Feature, Model, TensorType
from sdtui.runtime.portable.wire import MalformedError

_PROGRAM = "model.mil"
_NEURAL_NETWORK = "model.espresso.net"
_STAGES = 2


def is_compiled(path: Path) -> bool:
    """Whether ``path`` is what a compiler leaves, whatever its name is."""
    return path.suffix == ".mlmodelc" or any((path / name).is_file() for name in (_PROGRAM, "coremldata.bin"))


def open_network(path: Path, function: str | None = None) -> Package:
    """Read what a ``.mlpackage`` or ``.mlmodelc`` says about its network; see :func:`open_package`."""
    return open_compiled(path, function) if is_compiled(path) else open_package(path, function)


def open_compiled(path: Path, function: str | None = None) -> Package:
    """Read what a ``.mlmodelc`` says about its network; weights are read when asked for.

    ``function`` is the one wanted of several, None for the default one. Raises NetworkError when there
    is no such folder, or a broken one.
    """
    if not path.exists():
        raise NetworkError(f"cannot load {path.name}", f"{path} does not exist", "check the path")
    with reading(path):
        metadata = _metadata(path)
        model = read_text(_text(path), function or metadata.default_function_name or None)
        described = next((each for each in metadata.functions if each.name == function), metadata)
        return package_of(path, path, _with_metadata(model, metadata, described))


def stages(path: Path) -> tuple[Path, ...]:
    """What to open, one after the other, to run ``path``; most often itself alone.

    Apple's converter merges the two halves of a UNet in such a pipeline. Raises NetworkError for one
    of another number of stages, or one that cannot be read.
    """
    found = _compiled_stages(path) if is_compiled(path) else package_stages(path)
    if len(found) not in (0, _STAGES):
        raise NetworkError(
            f"cannot load {path.name}",
            f"it is a pipeline of {len(found)} networks, not of {_STAGES}",
            "use the .mlpackage of each of them",
        )
    return found or (path,)


def _compiled_stages(path: Path) -> tuple[Path, ...]:
    if (path / _PROGRAM).is_file():
        return ()
    return tuple(program.parent for program in sorted(path.glob("model[0-9]*/" + _PROGRAM)))


class _Feature(msgspec.Struct, frozen=True):
    name: str = ""
    shape: str = ""


class _Described(msgspec.Struct, frozen=True, rename="camel"):
    """What ``metadata.json`` says of one function."""

    name: str = ""
    input_schema: tuple[_Feature, ...] = ()
    output_schema: tuple[_Feature, ...] = ()


class _Metadata(msgspec.Struct, frozen=True, rename="camel"):
    """What we want of the one object in ``metadata.json``: nothing in it is needed."""

    input_schema: tuple[_Feature, ...] = ()
    output_schema: tuple[_Feature, ...] = ()
    specification_version: int | str = 0
    version: str = ""
    license: str = ""
    user_defined_metadata: dict[str, str] = {}
    default_function_name: str = ""
    functions: tuple[_Described, ...] = ()


def _metadata(path: Path) -> _Metadata:
    file = path / "metadata.json"
    if not file.is_file():
        return _Metadata()
    try:
        (metadata,) = msgspec.json.decode(content(file), type=list[_Metadata])
    except (ValueError, RecursionError) as error:
        raise MalformedError("its metadata.json does not describe a network") from error
    return metadata


def _text(path: Path) -> str:
    if not (path / _PROGRAM).is_file() and (path / _NEURAL_NETWORK).is_file():
        raise MalformedError("it is a model of another kind (neuralNetwork), not an ML Program")
    try:
        return content(path / _PROGRAM).decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"its {_PROGRAM} is not UTF-8 text") from error


def _with_metadata(model: Model, metadata: _Metadata, described: _Metadata | _Described) -> Model:
    return replace(
        model,
        specification_version=_version(metadata) or model.specification_version,
        inputs=tuple(_sized(feature, described.input_schema) for feature in model.inputs),
        outputs=tuple(_sized(feature, described.output_schema) for feature in model.outputs),
        metadata=metadata.user_defined_metadata,
        version=metadata.version,
        licence=metadata.license,
    )


def _version(metadata: _Metadata) -> int:
    try:
        return int(metadata.specification_version)
    except ValueError:
        return 0


def _sized(feature: Feature, described: tuple[_Feature, ...]) -> Feature:
    """The feature with its default shape, where the program leaves sizes open."""
    if None not in feature.type.shape:
        return feature
    try:
        shapes = (
            msgspec.json.decode(each.shape, type=tuple[int, ...])
            for each in described
            if each.name == feature.name and each.shape
        )
        shape = next(shapes, ())
    except ValueError as error:
        raise MalformedError("its metadata.json does not describe a network") from error
    fits = len(shape) == len(feature.type.shape) and all(
        size in (None, given) for size, given in zip(feature.type.shape, shape, strict=True)
    )
    return Feature(feature.name, TensorType(feature.type.dtype, shape)) if fits else feature
