"""The studio's own colours: a near-black ground, warm white, one amber accent, red only for loss."""

from __future__ import annotations

from textual.theme import Theme

NAME = "sdtui"

THEME = Theme(
    name=NAME,
    primary="#e8b04a",
    secondary="#e8b04a",
    accent="#e8b04a",
    warning="#e8b04a",
    success="#ece4d6",
    error="#e5564b",
    foreground="#ece4d6",
    background="#0e0d0c",
    surface="#151412",
    panel="#1f1d1a",
    boost="#1f1d1a",
    dark=True,
    variables={
        "foreground-muted": "#8d867b",
        "foreground-disabled": "#5d584f",
        "border": "#e8b04a",
        "border-blurred": "#2c2925",
        "block-cursor-background": "#e8b04a",
        "block-cursor-foreground": "#0e0d0c",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#2c2925",
        "block-cursor-blurred-foreground": "#ece4d6",
        "input-cursor-background": "#e8b04a",
        "input-cursor-foreground": "#0e0d0c",
        "input-selection-background": "#e8b04a 30%",
        "scrollbar": "#2c2925",
        "scrollbar-hover": "#5d584f",
        "scrollbar-active": "#e8b04a",
        "scrollbar-background": "#0e0d0c",
        "scrollbar-background-hover": "#0e0d0c",
        "scrollbar-background-active": "#0e0d0c",
        "scrollbar-corner-color": "#0e0d0c",
    },
)

FALLBACKS = {"foreground-muted": "#808080", "foreground-disabled": "#606060"}
"""What we use of a theme that not every theme has."""
