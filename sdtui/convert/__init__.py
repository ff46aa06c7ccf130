"""PyTorch modules to Core ML bundles."""
