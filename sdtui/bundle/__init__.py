"""One model on disk: manifest, networks, tokenizer, scheduler settings."""

from sdtui.bundle.bundle import Bundle, BundleError, verify
from sdtui.bundle.library import installed, locate, reference, removable, remove
from sdtui.bundle.manifest import Manifest

__all__ = [
    "Bundle",
    "BundleError",
    "Manifest",
    "installed",
    "locate",
    "reference",
    "removable",
    "remove",
    "verify",
]
