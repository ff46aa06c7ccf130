"""A bundle: the folder that one model lives in. Light: the interface imports this."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdtui.bundle.manifest import FORMAT, Manifest, NetworkRole
from sdtui.errors import SdtuiError
from sdtui.files import reason

MANIFEST_FILE = "bundle.json"
VOCABULARY_FILE = "vocab.json"
MERGES_FILE = "merges.txt"
SCHEDULER_FILE = "scheduler_config.json"


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
        for entry in bundle.manifest.networks.values():
            bundle._require(entry.file)
        for file in (VOCABULARY_FILE, MERGES_FILE, SCHEDULER_FILE):
            bundle._require(file)
        return bundle

    @property
    def name(self) -> str:
        """The model's name, from its manifest."""
        return self.manifest.name

    @property
    def hash(self) -> str:
        """The model's identity as 64 hex digits: the SHA-256 over its networks' SHA-256s."""
        entries = sorted(self.manifest.networks.items())
        return hashlib.sha256(
            "".join(f"{role}:{entry.sha256}\n" for role, entry in entries).encode()
        ).hexdigest()

    def network(self, role: NetworkRole) -> Path:
        """Where a network lies. Raises :class:`BundleError` when the model has none of that role."""
        if role not in self.manifest.networks:
            raise BundleError(
                f"{self.name} cannot do this", f"it has no {role.replace('_', ' ')}", "choose another model"
            )
        return self.path / self.manifest.networks[role].file

    def _require(self, file: str) -> None:
        if Path(file).name != file or file in ("", ".."):
            raise BundleError(
                f"the model {self.path} cannot be opened",
                f"{file!r} lies outside it",
                "get it again from a source that you trust",
            )
        if not (self.path / file).exists():
            raise BundleError(
                f"the model {self.path} is not complete", f"{file} is missing", "get it or convert it again"
            )


def verify(bundle: Bundle) -> None:
    """Read every network and compare its hash with the manifest's. Raises :class:`BundleError`."""
    for entry in bundle.manifest.networks.values():
        if network_sha256(bundle.path / entry.file) != entry.sha256:
            raise BundleError(
                f"the model {bundle.name} is damaged",
                f"{entry.file} is not what was written",
                "get it or convert it again",
            )


def network_sha256(network: Path) -> str:
    """The hash of a ``.mlpackage`` or ``.mlmodelc``: its files' names, sizes and contents in path order."""
    digest = hashlib.sha256()
    for file in sorted(file for file in network.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(network).as_posix()}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


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
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BundleError(what, f"{MANIFEST_FILE}: {error}", "get it or convert it again") from error
    if manifest.format > FORMAT:
        raise BundleError(what, "a later sdtui made it", "update sdtui")
    return manifest
