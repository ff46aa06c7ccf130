"""Checkpoints of any kind: diffusers folders, single files, Hub names; LoRA and textual inversion."""
