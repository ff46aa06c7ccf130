"""A package written again, with its weights stored in another way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from sdtui import __version__
from sdtui.compress.request import CompressionError
from sdtui.convert.assembly import WEIGHTS, Encoding, WeightFile, constant_key, write_package, write_weights
from sdtui.convert.disassembly import Disassembled
from sdtui.convert.encoding.encodings import EncodingError
from sdtui.convert.network import Storage
from sdtui.convert.program import Constant
from sdtui.files import create_folder_atomically, reason


def rewrite(
    source: Disassembled,
    package: Path,
    storage: Storage,
    shared: WeightFile | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> WeightFile:
    """Write ``source`` as ``package``, which appears whole or not at all; returns its weight file.

    Where ``shared`` holds the very same weights its file is linked. Raises :class:`CompressionError`
    for an encoding that the target lacks, ConversionError for a weight that has none.
    """
    constants = [
        (constant, storage.encoding(constant))
        for program in source.functions.values()
        for constant in program.constants
    ]
    try:
        with create_folder_atomically(package) as unfinished:
            weights = shared if shared is not None and _holds_exactly(shared, constants) else None
            if weights is None:
                weights = write_weights(unfinished / WEIGHTS, constants, source.read, source.target, on_bytes)
            write_package(
                unfinished, source.functions, weights, storage.encoding, {"sdtui.version": __version__}
            )
    except EncodingError as error:
        raise CompressionError(
            f"{package.stem} cannot be stored like that",
            str(error),
            "convert it with --min-deployment-target macOS15",
        ) from error
    except OSError as error:
        raise CompressionError(
            f"{package} cannot be written", reason(error), "choose another place, or make room"
        ) from error
    return WeightFile(package / WEIGHTS, weights.stored)


def _holds_exactly(weights: WeightFile, constants: Sequence[tuple[Constant, Encoding]]) -> bool:
    wanted = dict.fromkeys(constant_key(constant, encoding) for constant, encoding in constants)
    return list(wanted) == list(weights.stored)
