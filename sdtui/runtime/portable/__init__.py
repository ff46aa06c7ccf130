"""The portable runtime: reads a Core ML program and executes it with torch, on CPU or CUDA."""
