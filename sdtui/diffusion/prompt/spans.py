r"""What each part of a prompt's text is: the one reading that weights, templates and colours are made from.

======================  ======================================================================
``(words)``             count 1.1 times as much; ``[words]`` 1.1 times less
``(words:1.3)``         count 1.3 times as much; brackets in brackets multiply
``BREAK``               the words after it begin a new chunk of tokens
``{red|green}``         one of them (see :mod:`sdtui.diffusion.prompt.template`)
``__colours/warm__``    a line of the file ``colours/warm.txt``
``\(`` ``\|`` ``\_``    the character itself; so do all of ``\ ( ) [ ] { } | _``
======================  ======================================================================

Weights and BREAK are those of AUTOMATIC1111's web interface, choices and wildcards those of its
extension Dynamic Prompts. Any text can be read: a closing bracket that closes nothing is text, a
bracket that nobody closes reaches to the end of what is around it, braces that do not match are text.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["text", "escape", "bracket", "number", "break", "choice", "wildcard"]
"""``number`` is a weight with its colon, ``choice`` a brace or bar that separates alternatives."""

EMPHASIS = 1.1
MAX_WEIGHT = 100.0
"""Either way from 0: what is beyond counts as this, so that embeddings stay finite."""

_SPECIAL = re.compile(
    r"(?P<escape>\\[\\()\[\]{}|_])"
    r"|(?P<break> ?\bBREAK\b ?)"
    r"|:\s*(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))\s*\)"
    r"|(?P<wildcard>__(?=[^\W_])(?:(?!__)[\w./-])+__)"
    r"|[()\[\]{}|]"
)
_OPENS = {"(": ")", "[": "]"}


@dataclass(frozen=True)
class Span:
    """``text[start:end]`` is of this ``kind``; words there count ``weight`` times."""

    start: int
    end: int
    kind: Kind
    weight: float = 1.0


def spans(text: str) -> tuple[Span, ...]:
    """The parts of ``text`` in their order, without gaps; it reads any text whatsoever."""
    lexemes = list(_lexemes(text))
    choices = _choices(text, lexemes)
    factors, closed = _brackets(text, lexemes)
    found: list[Span] = []
    around: list[tuple[int, float]] = []
    weight = 1.0
    for index, span in enumerate(lexemes):
        if index in factors:
            found.append(replace(span, kind="bracket", weight=weight))
            around.append((index, weight))
            weight = max(-MAX_WEIGHT, min(MAX_WEIGHT, weight * factors[index]))
        elif index in closed:
            opened, outside = around.pop()
            while opened != closed[index]:
                opened, outside = around.pop()
            found += _closing(span, weight, outside)
            weight = outside
        elif index in choices:
            found.append(replace(span, kind="choice", weight=weight))
        elif span.kind in ("text", "bracket", "number") and found and found[-1].kind == "text":
            found[-1] = replace(found[-1], end=span.end)
        else:
            literal = span.kind in ("bracket", "number")
            found.append(replace(span, kind="text" if literal else span.kind, weight=weight))
    return tuple(found)


def _lexemes(text: str) -> Iterator[Span]:
    """``text`` cut where something special may be; whatever it takes to match is a ``bracket``.

    A ``number`` here has the bracket with it that makes it one.
    """
    end = 0
    for match in _SPECIAL.finditer(text):
        if match.start() > end:
            yield Span(end, match.start(), "text")
        end = match.end()
        kind: Kind = "bracket"
        if match["escape"]:
            kind = "escape"
        elif match["break"]:
            kind = "break"
        elif match["number"]:
            kind = "number"
        elif match["wildcard"]:
            kind = "wildcard"
        yield Span(match.start(), end, kind)
    if end < len(text):
        yield Span(end, len(text), "text")


def _choices(text: str, lexemes: list[Span]) -> set[int]:
    """The indices of braces that match, and of the bars directly in them."""
    found: set[int] = set()
    opened: list[list[int]] = []
    for index, span in enumerate(lexemes):
        if span.kind != "bracket":
            continue
        match text[span.start]:
            case "{":
                opened.append([index])
            case "|" if opened:
                opened[-1].append(index)
            case "}" if opened:
                found |= {*opened.pop(), index}
    return found


def _brackets(text: str, lexemes: list[Span]) -> tuple[dict[int, float], dict[int, int]]:
    """Opening brackets to what they multiply by, and closing ones to those that they close."""
    factors: dict[int, float] = {}
    closed: dict[int, int] = {}
    opened: list[tuple[int, str]] = []
    waiting: Counter[str] = Counter()
    for index, span in enumerate(lexemes):
        if span.kind not in ("bracket", "number"):
            continue
        sign = ")" if span.kind == "number" else text[span.start]
        if sign in _OPENS:
            opened.append((index, _OPENS[sign]))
            waiting[_OPENS[sign]] += 1
            factors[index] = EMPHASIS if sign == "(" else 1 / EMPHASIS
        elif waiting[sign]:
            last, closer = opened.pop()
            waiting[closer] -= 1
            while closer != sign:
                last, closer = opened.pop()
                waiting[closer] -= 1
            closed[index] = last
            if span.kind == "number":
                factors[last] = _number(text[span.start + 1 : span.end - 1])
    return factors, closed


def _closing(span: Span, inside: float, outside: float) -> Iterator[Span]:
    """A closing bracket, and the number before it where there is one."""
    if span.kind == "number":
        yield Span(span.start, span.end - 1, "number", inside)
    yield Span(span.end - 1, span.end, "bracket", outside)


def _number(digits: str) -> float:
    return max(-MAX_WEIGHT, min(MAX_WEIGHT, float(digits)))
