"""Torch modules to Core ML networks and bundles."""
