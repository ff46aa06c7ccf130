"""A bundle: the folder that one model lives in. Light: the interface imports this."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from sdtui.bundle.manifest import FORMAT, Manifest, NetworkEntry, NetworkRole
from sdtui.errors import SdtuiError
from sdtui.files import reason

MANIFEST_FILE = "bundle.json"
VOCABULARY_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
SCHEDULER_FILE = "scheduler_config.json"
ADDED_TOKENS_FILE = "added_tokens.json"
"""Tokens beyond the vocabulary, to their ids: what textual inversions were trained as."""
T5_TOKENIZER_FILE = "tokenizer.json"
T5_CONFIG_FILE = "tokenizer_config.json"
CONTROLNET_FOLDER = "controlnet"
CLIP_ROLES: tuple[NetworkRole, ...] = ("text_encoder", "text_encoder_2")
"""The networks that read CLIP's tokens."""


class BundleError(SdtuiError):
    """A model cannot be found or used."""


@dataclass(frozen=True)
class Bundle:
    """A model on disk, its manifest read and every file it speaks of present."""

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Read the manifest in ``path``, which becomes absolute. Raises :class:`BundleError`."""
        path = path.expanduser().absolute()
        if not path.is_dir():
            why = "that is a file, not a folder" if path.exists() else "there is no such folder"
            raise BundleError(f"the model {path} cannot be opened", why, "check the path")
        bundle = cls(path, _read_manifest(path))
        for entry in bundle.entries.values():
            for file in packages(entry):
                bundle._require(file)
        for file in bundle.tokenizer_files:
            bundle._require(file)
        bundle._require(SCHEDULER_FILE)
        return bundle

    @property
    def name(self) -> str:
        """The model's name, from its manifest."""
        return self.manifest.name

    @property
    def entries(self) -> dict[str, NetworkEntry]:
        """Everything that can be run: networks by their roles, ControlNets as ``controlnet/NAME``."""
        entries: dict[str, NetworkEntry] = dict(self.manifest.networks.items())
        for name, entry in self.manifest.controlnets.items():
            entries[f"{CONTROLNET_FOLDER}/{name}"] = entry
        return entries

    @property
    def hash(self) -> str:
        """The model's identity as 64 hex digits: the SHA-256 over its networks' SHA-256s."""
        return hashlib.sha256(
            "".join(f"{role}:{entry.sha256}\n" for role, entry in sorted(self.entries.items())).encode()
        ).hexdigest()

    @property
    def tokenizer_files(self) -> tuple[str, ...]:
        """The files without which its text encoders' words have no numbers: none where it has none."""
        networks = self.manifest.networks
        clip = any(role in networks for role in CLIP_ROLES)
        t5 = "text_encoder_3" in networks
        return (VOCABULARY_FILE, MERGES_FILE) * clip + (T5_TOKENIZER_FILE,) * t5

    def network(self, role: NetworkRole) -> Path:
        """Where a network lies: its first half where it is cut in two.

        Raises :class:`BundleError` when the model has none of that role.
        """
        return self.halves(role)[0]

    def halves(self, role: NetworkRole) -> tuple[Path, ...]:
        """The packages, one or two, that a network is run through in their order.

        Raises :class:`BundleError` when the model has none of that role.
        """
        if role not in self.manifest.networks:
            raise BundleError(
                f"{self.name} cannot do this", f"it has no {role.replace('_', ' ')}", "choose another model"
            )
        entry = self.manifest.networks[role]
        return tuple(self.path / file for file in (entry.file, entry.second_half) if file is not None)

    def controlnet(self, name: str) -> Path:
        """Where a ControlNet lies. Raises :class:`BundleError` that lists those there are."""
        controlnets = self.manifest.controlnets
        if name not in controlnets:
            raise BundleError(
                f"{self.name} has no ControlNet {name}",
                f"it has {', '.join(sorted(controlnets)) or 'none'}",
                "choose one of them" if controlnets else "choose another model",
            )
        return self.path / controlnets[name].file

    def _require(self, file: str) -> None:
        if not _stays_inside(file):
            raise BundleError(
                f"the model {self.path} cannot be opened",
                f"{file!r} lies outside it",
                "get it again from a source that you trust",
            )
        if not (self.path / file).exists():
            raise BundleError(
                f"the model {self.path} is not complete", f"{file} is missing", "get it or convert it again"
            )


def packages(entry: NetworkEntry) -> tuple[str, ...]:
    """A network's packages in the order that its hash covers them: it, its second half, other sizes."""
    half = () if entry.second_half is None else (entry.second_half,)
    return (entry.file, *half, *(entry.sizes[size] for size in sorted(entry.sizes)))


def verify(bundle: Bundle) -> None:
    """Read every network and compare its hash with the manifest's. Raises :class:`BundleError`."""
    for entry in bundle.entries.values():
        try:
            whole = entry_sha256(bundle.path, entry) == entry.sha256
        except OSError as error:
            raise BundleError(
                f"the model {bundle.name} cannot be read", reason(error), f"check {bundle.path}"
            ) from error
        if not whole:
            raise BundleError(
                f"the model {bundle.name} is damaged",
                f"{' or '.join(packages(entry))} is not what was written",
                "get it or convert it again",
            )


def entry_sha256(folder: Path, entry: NetworkEntry) -> str:
    """The hash of a network in the bundle ``folder``, all its :func:`packages` together. Raises OSError."""
    return network_sha256(*(folder / file for file in packages(entry)))


def network_sha256(*networks: Path) -> str:
    """The hash of ``.mlpackage`` or ``.mlmodelc`` folders, one after the other.

    It covers the names, sizes and contents of each one's files in path order, not its own name.
    Raises OSError.
    """
    digest = hashlib.sha256()
    for network, file in _files(networks):
        digest.update(f"{file.relative_to(network).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _files(networks: tuple[Path, ...]) -> Iterator[tuple[Path, Path]]:
    for network in networks:
        for file in sorted(file for file in network.rglob("*") if file.is_file()):
            yield network, file


def _stays_inside(file: str) -> bool:
    """Whether ``file`` is a plain name, or one in the folder of ControlNets."""
    parts = PurePosixPath(file).parts
    plain = file == "/".join(parts) and ".." not in parts and "\0" not in file
    return plain and (len(parts) == 1 or (len(parts) == 2 and parts[0] == CONTROLNET_FOLDER))


def _read_manifest(path: Path) -> Manifest:
    what = f"the model {path} cannot be opened"
    file = path / MANIFEST_FILE
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except FileNotFoundError:
        raise BundleError(
            what, f"the folder has no {MANIFEST_FILE}", "choose the folder of a bundle"
        ) from None
    except OSError as error:
        raise BundleError(what, f"{MANIFEST_FILE}: {reason(error)}", "make it readable") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(what, f"{MANIFEST_FILE}: {error}", "get it or convert it again") from error
    if manifest.format > FORMAT:
        raise BundleError(what, "a later sdtui made it", "update sdtui")
    return manifest
