"""Running one Core ML network, on the Core ML framework or anywhere else."""

from sdtui.runtime.network import Array, Network, NetworkError, TensorSpec, load_network

__all__ = ["Array", "Network", "NetworkError", "TensorSpec", "load_network"]
