"""The text form of a program as tokens, one after the other, in time linear in the text."""

from __future__ import annotations

import re

from sdtui.runtime.portable.wire import MalformedError

_SHOWN = 20
_TOKEN = re.compile(
    r"""
    //[^\n]* | /\*(?:[^*]|\*(?!/))*(?:\*/|\Z)         # a comment, which is no token
    | (
        "[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)            # a text; without its end, all that is left
      | ->
      | [^\W\d]\w*                                    # a name
      | [-+]?[\d.][\w.]*(?:(?<=[pPeE])[-+]\d+)?       # a number: -1, 0.5, 1e-5, 0x1.8p-3
      | [-+](?:inf|nan)\w*
      | \S
    )
    """,
    re.VERBOSE | re.DOTALL,
)
"""What begins here always matches without looking for another way, so nothing is read twice."""
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
_CLOSING = {"(": ")", "[": "]", "{": "}"}


class Tokens:
    """A reader's place in a text. ``current`` is the token there, "" at the end of the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._matches = _TOKEN.finditer(text)
        self._start = 0
        self.current = ""
        self.advance()

    def advance(self) -> str:
        """Step over the current token, and return it."""
        passed = self.current
        for match in self._matches:
            token = match[1]
            if token is not None:
                self.current, self._start = token, match.start()
                return passed
        self.current, self._start = "", len(self._text)
        return passed

    def take(self, expected: str) -> None:
        """Step over ``expected``. Raises MalformedError when something else stands here."""
        if self.current != expected:
            raise self.unexpected(expected)
        self.advance()

    def taken(self, possible: str) -> bool:
        """Step over ``possible`` if it stands here; whether it did."""
        if self.current != possible:
            return False
        self.advance()
        return True

    def name(self) -> str:
        """Step over a name, and return it."""
        if not self.current.isidentifier():
            raise self.unexpected("a name")
        return self.advance()

    def text(self) -> str:
        """Step over a quoted text, and return what it says."""
        if len(self.current) < 2 or self.current[0] != '"' or self.current[-1] != '"':
            raise self.unexpected("a text")
        return _ESCAPE.sub(lambda match: _ESCAPED.get(match[1], match[1]), self.advance()[1:-1])

    def skip_brackets(self) -> None:
        """Step over a bracket and everything in it."""
        closing: list[str] = []
        while True:
            if self.current in _CLOSING:
                closing.append(_CLOSING[self.current])
            elif not closing:
                raise self.unexpected("a bracket")
            elif self.current in (")", "]", "}", "") and self.current != closing.pop():
                raise self.unexpected("the end of what is open")
            self.advance()
            if not closing:
                return

    def unexpected(self, expected: str) -> MalformedError:
        """The error that says what stands here, and what should."""
        line = self._text.count("\n", 0, self._start) + 1
        if not self.current:
            return MalformedError(f"its program ends in line {line}, where {expected} belongs")
        shown = self.current if len(self.current) <= _SHOWN else f"{self.current[:_SHOWN]}..."
        return MalformedError(f"line {line} of its program has {shown!a} where {expected} belongs")
