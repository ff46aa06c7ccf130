"""The Core ML framework, through coremltools: compiled once, loaded from the cache ever after."""

from sdtui.runtime.apple.network import AppleNetwork

__all__ = ["AppleNetwork"]
