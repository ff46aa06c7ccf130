"""Networks of a bundle brought into memory, and what is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sdtui.bundle import Bundle
from sdtui.bundle.bundle import CONTROLNET_FOLDER
from sdtui.diffusion.events import Loading, PipelineEvent
from sdtui.diffusion.parts import Part, packages
from sdtui.request import ComputeUnits, Precision
from sdtui.runtime import LoadingStage, Network, Profile, load_network
from sdtui.runtime.chained import ChainedNetwork

OnEvent = Callable[[PipelineEvent], None]
Watch = Callable[[Path, Network], Network]
"""Gives what is used in place of a network that was loaded from a path: the same, or one that watches it."""

ACTIVATION_BYTES_A_PIXEL = 4096
"""An estimate, on the safe side: 1 GiB for a picture of 512 x 512 pixels."""

PREVIEW_BYTES_A_PIXEL = 1536
"""The same for a preview decoder, which is narrower: the portable runtime takes up to 1400 in fp32."""


def ignore(_event: PipelineEvent) -> None:
    """Nobody watches."""


def unwatched(_path: Path, network: Network) -> Network:
    """The network as it is."""
    return network


class Opener:
    """Loads the parts of a bundle. ``watch`` is given each network that was loaded."""

    def __init__(
        self, bundle: Bundle, compute_units: ComputeUnits, precision: Precision, watch: Watch
    ) -> None:
        self._bundle = bundle
        self._compute_units = compute_units
        self._precision = precision
        self._watch = watch
        self._parts: tuple[Part, ...] = ()
        self._on_event: OnEvent = ignore

    def tell(self, parts: tuple[Part, ...], on_event: OnEvent) -> None:
        """From now on ``on_event`` hears of loads, which are counted among ``parts``."""
        self._parts, self._on_event = parts, on_event

    def needs(self, part: Part) -> int:
        """Bytes that a network is run in: its weights, and what lies between its operations."""
        folders = (path for path, _ in packages(self._bundle, part))
        weights = sum(
            file.stat().st_size for folder in folders for file in folder.rglob("*") if file.is_file()
        )
        width, height = part.size or self._own_size
        preview = part.name == "preview_decoder"
        pixel = PREVIEW_BYTES_A_PIXEL if preview else ACTIVATION_BYTES_A_PIXEL
        return weights * 5 // 4 + width * height * pixel

    def open(self, part: Part) -> Network:
        """The network, both halves of it. Raises :class:`NetworkError`."""
        first, *second = packages(self._bundle, part)
        self._on_event(self._loading(part))
        network = self._load(part, *first)
        try:
            for half in second:
                network = ChainedNetwork(network, self._load(part, *half))
        except BaseException:
            network.close()
            raise
        return network

    def _load(self, part: Part, path: Path, function: str | None) -> Network:
        role = "controlnet" if part.name.startswith(CONTROLNET_FOLDER) else part.name
        manifest = self._bundle.manifest
        profile = Profile(role, manifest.family, *(part.size or self._own_size), manifest.attention)

        def on_stage(stage: LoadingStage) -> None:
            self._on_event(self._loading(part, stage))

        network = load_network(
            path, self._compute_units, self._precision, function, profile=profile, on_stage=on_stage
        )
        return self._watch(path, network)

    def _loading(self, part: Part, stage: LoadingStage | None = None) -> Loading:
        known = () if stage is None else (stage.stage, stage.elapsed, stage.expected, stage.note)
        return Loading(part.name, self._parts.index(part) + 1, len(self._parts), *known)

    @property
    def _own_size(self) -> tuple[int, int]:
        return self._bundle.manifest.width, self._bundle.manifest.height
