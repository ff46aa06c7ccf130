"""Networks that somebody else converted, and everything a bundle of ours adds to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from sdtui.bundle.bundle import (
    CLIP_ROLES,
    CONTROLNET_FOLDER,
    MANIFEST_FILE,
    SCHEDULER_FILE,
    T5_CONFIG_FILE,
    T5_TOKENIZER_FILE,
    Bundle,
    entry_sha256,
)
from sdtui.bundle.deduction import DENOISERS, Deduction, controls, deduce, join, prediction_type, true_role
from sdtui.bundle.facts import NetworkFacts, read_facts
from sdtui.bundle.foreign import files_below
from sdtui.bundle.latent_colours import published_colours
from sdtui.bundle.layouts import Layout, read_layout, telling_name
from sdtui.bundle.linking import Put, place_folder
from sdtui.bundle.manifest import STEMS, Manifest, NetworkEntry, NetworkRole
from sdtui.bundle.scheduler import PredictionType, scheduler_config
from sdtui.bundle.tokenizer import Tokenizer
from sdtui.bundle.vocabulary import VOCABULARY_FOLDERS, Vocabulary, find_vocabulary, read_json

OnNetwork = Callable[[str], None]
"""Hears the name of each network before it is read."""


@dataclass(frozen=True)
class ForeignNetwork:
    """A network as it was found, in one package or two halves. ``stem`` is its name in the bundle."""

    stem: str
    halves: tuple[Path, ...]
    facts: NetworkFacts

    @property
    def files(self) -> tuple[str, ...]:
        """What its packages are called in the bundle."""
        if len(self.halves) == 1:
            return (self.stem + self.halves[0].suffix,)
        return tuple(f"{self.stem}Chunk{number}{half.suffix}" for number, half in enumerate(self.halves, 1))


@dataclass(frozen=True)
class Adoption:
    """A model of somebody else's, understood: all that is known before anything is written."""

    folder: Path
    model_id: str
    networks: Mapping[NetworkRole, ForeignNetwork]
    controlnets: Mapping[str, ForeignNetwork]
    deduction: Deduction
    scheduler: Mapping[str, Any]
    vocabulary: Vocabulary | None
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called where nobody says: by its model's id, else by its folder."""
        return self.model_id.rpartition("/")[2] or telling_name(self.folder)

    @property
    def sources(self) -> list[Path]:
        """The packages that the bundle is made of."""
        networks = [*self.networks.values(), *self.controlnets.values()]
        return [half for network in networks for half in network.halves]

    def write(self, bundle: Path, name: str, put: Put, on_network: OnNetwork) -> None:
        """Make the folder ``bundle``. Raises OSError, and :class:`BundleError` for a useless vocabulary."""
        bundle.mkdir()
        networks = {
            role: _write_network(network, bundle, put, on_network) for role, network in self.networks.items()
        }
        controlnets = {
            label: _write_network(network, bundle, put, on_network)
            for label, network in self.controlnets.items()
        }
        if self.vocabulary is not None:
            self.vocabulary.write(bundle)
        if "text_encoder_3" in self.networks:
            for file in (T5_TOKENIZER_FILE, T5_CONFIG_FILE):
                if (self.folder / file).exists():
                    put(self.folder / file, bundle / file)
        scheduler = json.dumps(dict(self.scheduler), indent=2)
        (bundle / SCHEDULER_FILE).write_text(scheduler + "\n", encoding="utf-8")
        write_manifest(bundle, self._manifest(name, networks, controlnets))
        opened = Bundle.open(bundle)
        for role in CLIP_ROLES:
            if role in self.networks:
                Tokenizer(opened, role)

    def _manifest(
        self,
        name: str,
        networks: dict[NetworkRole, NetworkEntry],
        controlnets: dict[str, NetworkEntry],
    ) -> Manifest:
        deduction = self.deduction
        pad_token = self.vocabulary.pad_token if self.vocabulary else None
        return Manifest(
            name=name,
            title=name,
            licence=self._denoiser.licence,
            family=deduction.family,
            width=deduction.width,
            height=deduction.height,
            scale=deduction.scale,
            latent_channels=deduction.latent_channels,
            scaling_factor=deduction.scaling_factor,
            shift_factor=deduction.shift_factor,
            token_length=deduction.token_length,
            pad_token=pad_token or deduction.pad_token,
            preview=published_colours(deduction.family, deduction.latent_channels, deduction.scale),
            attention=self._attention,
            target=self._denoiser.target,
            source=self.model_id or str(self.folder),
            controlnets=controlnets,
            networks=networks,
        )

    @property
    def _denoiser(self) -> NetworkFacts:
        return next(self.networks[role].facts for role in DENOISERS if role in self.networks)

    @property
    def _attention(self) -> str:
        """Which attention it has. The second way to split differs by how often: only its folder tells."""
        if not self._denoiser.einsum:
            return "ORIGINAL"
        return "SPLIT_EINSUM_V2" if "split_einsum_v2" in self.folder.parts else "SPLIT_EINSUM"


def adopt(
    folder: Path, roots: tuple[Path, ...], tokenizer: Path | None, prediction: PredictionType | None
) -> Adoption:
    """Understand the model right in ``folder``, whose files must really lie in ``roots``.

    Raises :class:`BundleError` and NetworkError for whatever is missing, broken or does not fit; OSError.
    """
    layout = read_layout(folder)
    for path in _everything(layout):
        for _ in files_below(path, roots):
            pass  # all of them, before any is read
    warnings: list[str] = []
    networks = _networks(layout, warnings)
    deduction = deduce({role: network.facts for role, network in networks.items()}, str(folder))
    model_id = _model_id(layout, networks)
    return Adoption(
        folder=folder,
        model_id=model_id,
        networks=networks,
        controlnets=_controlnets(layout, networks, warnings),
        deduction=deduction,
        scheduler=_scheduler(folder, deduction, model_id, prediction, warnings),
        vocabulary=_vocabulary(folder, networks, tokenizer),
        warnings=tuple(warnings),
    )


def write_manifest(bundle: Path, manifest: Manifest) -> None:
    """Write bundle.json into the folder ``bundle``. Raises OSError."""
    content = msgspec.json.format(msgspec.json.encode(manifest))
    (bundle / MANIFEST_FILE).write_bytes(content + b"\n")


def _everything(layout: Layout) -> Iterator[Path]:
    """All that may be read of a model folder: its networks, and the small files beside them."""
    for halves in layout.networks.values():
        yield from halves
    yield from layout.controlnets.values()
    for name in (".", *VOCABULARY_FOLDERS, "scheduler"):
        for ending in ("*.json", "*.txt"):
            yield from (layout.folder / name).glob(ending)


def _write_network(network: ForeignNetwork, bundle: Path, put: Put, on_network: OnNetwork) -> NetworkEntry:
    on_network(network.stem)
    for package, name in zip(network.halves, network.files, strict=True):
        place_folder(package, bundle / name, put)
    first, *second = network.files
    entry = NetworkEntry(
        file=first,
        sha256="",
        nbits=network.facts.nbits,
        encoding=network.facts.encoding,
        second_half=second[0] if second else None,
    )
    return msgspec.structs.replace(entry, sha256=entry_sha256(bundle, entry))


def _networks(layout: Layout, warnings: list[str]) -> dict[NetworkRole, ForeignNetwork]:
    networks: dict[NetworkRole, ForeignNetwork] = {}
    for named, halves in layout.networks.items():
        facts = join(str(layout.folder), tuple(map(read_facts, halves)))
        role = true_role(named, facts)
        networks.setdefault(role, ForeignNetwork(STEMS[role], halves, facts))
    if "text_encoder_3" in networks and not (layout.folder / T5_TOKENIZER_FILE).is_file():
        del networks["text_encoder_3"]
        warnings.append(f"its T5 text encoder is left out: the folder has no {T5_TOKENIZER_FILE}")
    return networks


def _controlnets(
    layout: Layout, networks: Mapping[NetworkRole, ForeignNetwork], warnings: list[str]
) -> dict[str, ForeignNetwork]:
    """Those that fit its UNet. Mochi Diffusion keeps the ControlNets of all models in one folder."""
    unet = networks.get("control_unet")
    if layout.controlnets and unet is None:
        warnings.append("its ControlNets are left out: it has no UNet that takes them")
        return {}
    fitting = {}
    for name, package in layout.controlnets.items():
        facts = read_facts(package)
        if unet is not None and controls(facts, unet.facts):
            fitting[name] = ForeignNetwork(f"{CONTROLNET_FOLDER}/{name}", (package,), facts)
        else:
            warnings.append(f"the ControlNet {name} is left out: it was made for another size or model")
    return fitting


def _model_id(layout: Layout, networks: Mapping[NetworkRole, ForeignNetwork]) -> str:
    """The id that the networks were made from: their metadata's, else that of the file names."""
    said = [networks[role].facts.model_id for role in DENOISERS if role in networks]
    return next(filter(None, said), layout.model_id.replace("_", "/", 1))


def _scheduler(
    folder: Path,
    deduction: Deduction,
    model_id: str,
    prediction: PredictionType | None,
    warnings: list[str],
) -> dict[str, Any]:
    for file in (folder / SCHEDULER_FILE, folder / "scheduler" / SCHEDULER_FILE):
        if file.is_file():
            return read_json(file) | ({"prediction_type": prediction} if prediction else {})
    known = prediction or prediction_type(deduction, f"{model_id} {folder}")
    if known is None:
        warnings.append("it may predict v: if its pictures are wrong, import it with --prediction-type")
    return scheduler_config(deduction.family, known or "epsilon")


def _vocabulary(
    folder: Path, networks: Mapping[NetworkRole, ForeignNetwork], given: Path | None
) -> Vocabulary | None:
    """The tokenizer for its CLIP text encoders; None where it has none of them."""
    encoders = [networks[role].facts for role in CLIP_ROLES if role in networks]
    if not encoders:
        return None
    rows = [facts.vocabulary for facts in encoders if facts.vocabulary is not None]
    return find_vocabulary(folder, given, min(rows, default=None))
