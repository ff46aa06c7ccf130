"""Smaller networks: which weight can do with how few bits, measured, chosen and applied."""
