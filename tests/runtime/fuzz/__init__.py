"""Networks damaged by the thousand: each is refused in one line, or works."""
