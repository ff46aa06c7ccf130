"""Every text can be read, and what it means can be written down again."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.diffusion.prompt import Fragment, escape, parse, spans, unparse

prompts = (
    st.text(max_size=40)
    | st.text(alphabet="ab(){}[]|\\_:1.2 $")
    | st.lists(
        st.sampled_from([*"()[]{}|_\\: ", "__", ":1.2)", ":-3 )", "BREAK", " BREAK ", "red", "1e9"])
    ).map("".join)
)
fragments = st.builds(Fragment, st.text(min_size=1, max_size=12) | prompts.filter(bool), st.floats(-100, 100))


def weighted(prompt: str) -> list[tuple[str, float]]:
    """The fragments of a prompt that has one chunk, weights rounded."""
    [chunk] = parse(prompt)
    return [(fragment.text, round(fragment.weight, 4)) for fragment in chunk]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        # What AUTOMATIC1111's documentation gives for its parser.
        ("normal text", [("normal text", 1.0)]),
        ("an (important) word", [("an ", 1.0), ("important", 1.1), (" word", 1.0)]),
        ("(unbalanced", [("unbalanced", 1.1)]),
        (r"\(literal\]", [("(literal]", 1.0)]),
        ("(unnecessary)(parens)", [("unnecessaryparens", 1.1)]),
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).",
            [
                ("a ", 1.0),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1.0),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
        # Its wiki: a word in square brackets counts 1.1 times less.
        ("a [word]", [("a ", 1.0), ("word", 0.9091)]),
        ("((word))", [("word", 1.21)]),
        # What it says nothing about.
        ("(word : 1.5 )", [("word ", 1.5)]),
        ("(word:-.5)", [("word", -0.5)]),
        ("(word:1.2.3)", [("word:1.2.3", 1.1)]),
        ("(word:1e3) ((a:99):99)", [("word:1e3", 1.1), (" ", 1.0), ("a", 100.0)]),
        ("smile :) 2 ] {a|b} __c__ C:\\art", [("smile :) 2 ] {a|b} __c__ C:\\art", 1.0)]),
        (r"\{a\|b\} \_\_c\_\_ \\", [("{a|b} __c__ \\", 1.0)]),
        ("(a [b) c]", [("a ", 1.1), ("b", 1.0), (" c]", 1.0)]),
        ("()[]", []),
    ],
)
def test_what_brackets_mean(prompt: str, expected: list[tuple[str, float]]) -> None:
    joined: list[tuple[str, float]] = []
    for text, weight in expected:
        before = joined.pop()[0] if joined and joined[-1][1] == weight else ""
        joined.append((before + text, weight))
    assert weighted(prompt) == joined


def test_break_begins_a_chunk() -> None:
    chunks = parse("a BREAK (b BREAK c:1.2)BREAKdown BREAK")
    assert chunks == (
        (Fragment("a"),),
        (Fragment("b", 1.2),),
        (Fragment("c", 1.2), Fragment("BREAKdown")),
        (),
    )


@given(prompt=prompts)
def test_spans_cover_any_text_in_order(prompt: str) -> None:
    found = spans(prompt)
    assert [span.start for span in found] == [0, *(span.end for span in found)][:-1] or not found
    assert "".join(prompt[span.start : span.end] for span in found) == prompt
    assert all(-100 <= span.weight <= 100 for span in found)


@given(prompt=prompts)
def test_what_was_read_can_be_written_and_read_again(prompt: str) -> None:
    assert parse(unparse(parse(prompt))) == parse(prompt)


@given(chunk=st.lists(fragments, max_size=4))
def test_what_was_written_is_read(chunk: list[Fragment]) -> None:
    alternating = [
        each for index, each in enumerate(chunk) if not index or each.weight != chunk[index - 1].weight
    ]
    assert parse(unparse([alternating])) == (tuple(alternating),)


@given(text=st.text(max_size=40).filter(lambda text: "BREAK" not in text))
def test_escaped_text_means_itself(text: str) -> None:
    assert parse(escape(text)) == ((Fragment(text),) if text else (),)


@given(
    text=st.text(st.characters(exclude_characters="\\()[]"), max_size=60).filter(lambda t: "BREAK" not in t)
)
def test_text_without_signs_is_one_fragment(text: str) -> None:
    assert parse(text) == ((Fragment(text),) if text else (),)


def test_parts_for_colours() -> None:
    text = r"a (red:1.3) {b|[c]} __d/e__ \( BREAK |"
    shown = [(text[span.start : span.end], span.kind, round(span.weight, 2)) for span in spans(text)]
    assert shown == [
        ("a ", "text", 1.0),
        ("(", "bracket", 1.0),
        ("red", "text", 1.3),
        (":1.3", "number", 1.3),
        (")", "bracket", 1.0),
        (" ", "text", 1.0),
        ("{", "choice", 1.0),
        ("b", "text", 1.0),
        ("|", "choice", 1.0),
        ("[", "bracket", 1.0),
        ("c", "text", 0.91),
        ("]", "bracket", 1.0),
        ("}", "choice", 1.0),
        (" ", "text", 1.0),
        ("__d/e__", "wildcard", 1.0),
        (" ", "text", 1.0),
        (r"\(", "escape", 1.0),
        (" BREAK ", "break", 1.0),
        ("|", "text", 1.0),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 20_000,
        "([" * 10_000 + ")" * 10_000,
        "{" * 10_000 + "}" * 10_000,
        ":" + "1" * 20_000,
        "(a:" + " " * 20_000,
        "_" * 20_000,
        "__a" * 7_000,
        "\\" * 19_999,
        " " * 20_000 + "BREAK",
    ],
    ids=lambda text: text[:6],
)
def test_absurd_texts_take_no_time(text: str) -> None:
    began = time.process_time()
    parse(text)
    assert time.process_time() - began < 2


def test_reading_a_prompt_is_light() -> None:
    """The studio colours prompts at every key."""
    heavy = {"torch", "numpy", "diffusers", "transformers", "coremltools", "tokenizers", "PIL"}
    wanted = "from sdtui.diffusion.prompt import chunks, submission"
    program = f"import sys; {wanted}; print(*{heavy} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""
