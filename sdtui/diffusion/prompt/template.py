"""Prompts with choices and wildcards in them: one template, another prompt for each seed.

=======================  ==================================================================
``{red|green}``          one of them; ``{red|}`` may be nothing
``{3::red|green}``       red three times as often as green
``{2$$red|green|blue}``  two of them, in any order, with commas; ``{1-2$$...}`` one or two
``{2$$ and $$...}``      with `` and `` between them
``__colours/warm__``     a line of the wildcard file ``colours/warm.txt``
=======================  ==================================================================

The syntax is that of the extension Dynamic Prompts. A line of a wildcard file is an option like any
other: it may have a weight, and more to draw in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sdtui.diffusion.prompt.draws import Draws
from sdtui.diffusion.prompt.errors import PromptError
from sdtui.diffusion.prompt.spans import Span, spans
from sdtui.diffusion.prompt.wildcards import Wildcards

MAX_LENGTH = 20_000
"""Characters that a template may become: far more than any text encoder reads."""
MAX_DRAWS = 10_000
MAX_NESTING = 64
"""Choices and wildcards in each other."""

_COUNT = re.compile(r"\s*([0-9]{1,4})(?:-([0-9]{1,4}))?\$\$(?:([^$]*)\$\$)?")
_WEIGHT = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{0,9})?)::")
_SIGN = re.compile(r"(\\[\\()\[\]{}|_])|[{}|]|(?<=_)_")


@dataclass(frozen=True)
class Option:
    """What a choice may become: ``text``, itself a template. ``weight`` 3 comes thrice as often as 1."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True)
class Choice:
    """``least`` to ``most`` of the options, no one twice, with ``separator`` between them."""

    options: tuple[Option, ...]
    least: int = 1
    most: int = 1
    separator: str = ", "


@dataclass(frozen=True)
class Wildcard:
    """A line of the file of this name."""

    name: str


Part = str | Choice | Wildcard
"""Text as it was written, escapes and all, or something to draw."""


def parse_template(text: str) -> tuple[Part, ...]:
    """The parts of ``text``; it reads any text whatsoever."""
    parts: list[Part] = []
    rest = iter(spans(text))
    for span in rest:
        if span.kind == "wildcard":
            parts.append(Wildcard(text[span.start + 2 : span.end - 2]))
        elif span.kind == "choice":
            parts.append(_choice(list(_alternatives(text, span.end, rest))))
        else:
            parts.append(text[span.start : span.end])
    return tuple(parts)


def expand(text: str, seed: int, wildcards: Wildcards, stream: str = "prompt") -> str:
    """What ``text`` becomes for ``seed``, the same on every machine; itself where nothing is drawn.

    What comes out has nothing left to draw: to expand it again changes nothing. The texts of one
    picture have a ``stream`` each. Raises :class:`PromptError`.
    """
    if not _has_draws(text):
        return text
    written: list[str] = []
    length = 0
    for words in _written(text, Draws(seed, stream), wildcards):
        written.append(words)
        length += len(words)
        if length > MAX_LENGTH:
            raise _absurd(f"it becomes longer than {MAX_LENGTH} characters")
    prompt = "".join(written)
    return _SIGN.sub(_escaped, prompt) if _has_draws(prompt) else prompt


def _written(text: str, draws: Draws, wildcards: Wildcards) -> Iterator[str]:
    """The words that ``text`` becomes, piece by piece. Raises :class:`PromptError`."""
    pending: list[tuple[Part, tuple[str, ...]]] = [(part, ()) for part in reversed(parse_template(text))]
    drawn = 0
    while pending:
        part, inside = pending.pop()
        if isinstance(part, str):
            yield part
            continue
        drawn += 1
        if drawn > MAX_DRAWS:
            raise _absurd(f"it draws more than {MAX_DRAWS} times")
        if len(inside) == MAX_NESTING:
            raise _absurd(f"more than {MAX_NESTING} choices are in each other")
        name = ""
        if isinstance(part, Wildcard):
            name = part.name
            if name in inside:
                raise _circle(inside[inside.index(name) :])
            part = Choice(tuple(map(_option, wildcards.lines(name))))
        pending += [(each, (*inside, name)) for each in reversed(_drawn(part, draws))]


def _drawn(choice: Choice, draws: Draws) -> list[Part]:
    """Some of the options, read as templates, and separators between them."""
    left = list(choice.options)
    counts = range(min(choice.least, len(left)), min(choice.most, len(left)) + 1)
    parts: list[Part] = []
    for number in range(counts[draws.index([1.0] * len(counts))] if len(counts) > 1 else counts[0]):
        if not any(option.weight for option in left):
            raise PromptError(
                "the prompt cannot be expanded",
                "all that a choice has left has the weight 0",
                "give one of them a weight above 0",
            )
        option = left.pop(draws.index(option.weight for option in left))
        parts += [choice.separator] if number else []
        parts += parse_template(option.text)
    return parts


def _alternatives(text: str, start: int, rest: Iterator[Span]) -> Iterator[str]:
    """What stands between the bars from ``start`` to the brace that closes; ``rest`` goes on after it."""
    depth = 0
    for span in rest:
        sign = text[span.start] if span.kind == "choice" else ""
        if sign in ("|", "}") and not depth:
            yield text[start : span.start]
            start = span.end
            if sign == "}":
                return
        depth += {"{": 1, "}": -1}.get(sign, 0)


def _choice(alternatives: list[str]) -> Choice:
    """The choice whose first alternative may say how many are drawn."""
    first, *others = alternatives
    match = _COUNT.match(first)
    if match is None:
        return Choice(tuple(map(_option, alternatives)))
    least, most = int(match[1]), int(match[2] or match[1])
    options = tuple(map(_option, (first[match.end() :], *others)))
    separator = Choice.separator if match[3] is None else match[3]
    return Choice(options, min(least, most), max(least, most), separator)


def _option(text: str) -> Option:
    match = _WEIGHT.match(text)
    return Option(text[match.end() :], float(match[1])) if match else Option(text)


def _has_draws(text: str) -> bool:
    return any(span.kind in ("choice", "wildcard") for span in spans(text))


def _escaped(sign: re.Match[str]) -> str:
    """An escape as it is, and a brace, bar or second underscore escaped."""
    return sign[0] if sign[1] else f"\\{sign[0]}"


def _absurd(why: str) -> PromptError:
    return PromptError("the prompt cannot be expanded", why, "write it with fewer choices and wildcards")


def _circle(inside: tuple[str, ...]) -> PromptError:
    name, *others = (f"__{each}__" for each in inside if each)
    way = f", by way of {' and '.join(others)}" if others else ""
    return PromptError(
        f"the wildcard {name} cannot be used", f"it is in itself{way}", "take it out of one of the files"
    )
