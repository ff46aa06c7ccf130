"""Running one Core ML network, on the Core ML framework or anywhere else."""

from sdtui.runtime.loading import LoadingStage, OnStage, Profile, Stage
from sdtui.runtime.network import Array, Network, NetworkError, TensorSpec, load_network

__all__ = [
    "Array",
    "LoadingStage",
    "Network",
    "NetworkError",
    "OnStage",
    "Profile",
    "Stage",
    "TensorSpec",
    "load_network",
]
