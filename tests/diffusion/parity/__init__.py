"""Our pictures beside those of diffusers' own pipelines: ``python -m tests.diffusion.parity``."""
