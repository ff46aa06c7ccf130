"""Model folders as other programs leave them: of a real bundle's packages, or of descriptions alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.runtime.mil_text_writer import compile_package

Shapes = Mapping[str, Sequence[int]]

APPLE = {
    "TextEncoder": "text_encoder",
    "Unet": "unet",
    "VAEDecoder": "vae_decoder",
    "VAEEncoder": "vae_encoder",
}
SD: Mapping[str, tuple[Shapes, Shapes]] = {
    "TextEncoder": ({"input_ids": [1, 77]}, {"last_hidden_state": [1, 77, 768]}),
    "Unet": (
        {"sample": [2, 4, 64, 64], "timestep": [2], "encoder_hidden_states": [2, 768, 1, 77]},
        {"noise_pred": []},
    ),
    "VAEDecoder": ({"z": [1, 4, 64, 64]}, {"image": []}),
    "VAEEncoder": ({"x": [1, 3, 512, 512]}, {"latent": []}),
}
"""Inputs and outputs of Stable Diffusion 1.5 as Apple's compiler writes them down."""


def apple_folder(bundle: Path, folder: Path, model_id: str = "somebody_tiny") -> Path:
    """What Apple's converter leaves in its ``-o`` folder: packages, no vocabulary."""
    for stem, part in APPLE.items():
        name = f"Stable_Diffusion_version_{model_id}_{part}.mlpackage"
        shutil.copytree(bundle / f"{stem}.mlpackage", folder / name)
    return folder


def with_vocabulary(bundle: Path, folder: Path) -> Path:
    """``folder``, with the tokenizer of ``bundle`` in it."""
    for name in ("vocab.json", "merges.txt"):
        shutil.copyfile(bundle / name, folder / name)
    return folder


def compiled(
    network: Path,
    inputs: Shapes,
    outputs: Shapes,
    *,
    operations: Mapping[str, int] | None = None,
    rows: int | None = None,
    **metadata: Any,
) -> Path:
    """A ``.mlmodelc`` as ``coremlcompiler`` leaves it, of which only the description is real."""
    network.mkdir(parents=True)
    description = {
        "metadataOutputVersion": "3.0",
        "specificationVersion": 7,
        "version": "",
        "storagePrecision": "Float16",
        "mlProgramOperationTypeHistogram": operations or {"Ios16.conv": 90, "Ios16.matmul": 32},
        "inputSchema": _schema(inputs),
        "outputSchema": _schema(outputs),
        **metadata,
    }
    (network / "metadata.json").write_text(json.dumps([description], indent=2))
    (network / "coremldata.bin").write_bytes(b"\0")
    (network / "weights").mkdir()
    (network / "weights" / "weight.bin").write_bytes(network.stem.encode())
    if rows is not None:
        program = f"""program(1.0)
{{ func main<ios16>(tensor<fp32, [1, 77]> input_ids) {{
    tensor<fp16, [{rows}, 768]> words_weight = const()[name = tensor<string, []>("words_weight")];
    tensor<fp16, [9999, 4]> other = const()[name = tensor<string, []>("other")];
    tensor<fp16, [1, 77, 768]> words = gather(axis = axis_0, indices = ids, x = words_weight)[name = n];
}} -> (words); }}"""
        (network / "model.mil").write_text(program)
    return network


def resources(
    folder: Path, networks: Mapping[str, tuple[Shapes, Shapes]] = SD, **changes: tuple[Shapes, Shapes]
) -> Path:
    """Apple's ``Resources`` folder: compiled networks. ``changes`` replace or add single ones."""
    for stem, (inputs, outputs) in {**networks, **changes}.items():
        compiled(folder / f"{stem}.mlmodelc", inputs, outputs)
    return folder


def compiled_resources(bundle: Path, folder: Path, *, metadata: bool = True) -> Path:
    """The ``Resources`` folder of a real bundle: everything in it compiled, and its vocabulary."""
    for package in bundle.glob("*.mlpackage"):
        compile_package(package, folder / f"{package.stem}.mlmodelc", metadata=metadata)
    return with_vocabulary(bundle, folder)


def _schema(shapes: Shapes) -> list[dict[str, str]]:
    return [
        {
            "name": name,
            "type": "MultiArray",
            "dataType": "Float32",
            "formattedType": f"MultiArray (Float32 {' × '.join(map(str, shape))})",
            "shape": json.dumps(list(shape)),
            "isOptional": "0",
            "hasShapeFlexibility": "0",
        }
        for name, shape in shapes.items()
    ]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder`` and what is in it."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
