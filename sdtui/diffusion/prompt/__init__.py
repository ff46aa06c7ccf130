"""The language of prompts: weights, chunks, choices and wildcards. Light, but for ``conditioning``."""

from sdtui.diffusion.prompt.spans import Kind, Span, spans
from sdtui.diffusion.prompt.weights import Fragment, escape, parse, unparse

__all__ = ["Fragment", "Kind", "Span", "escape", "parse", "spans", "unparse"]
