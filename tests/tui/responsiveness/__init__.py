"""How quickly the studio answers, and how little it takes: ``python -m tests.tui.responsiveness``."""
