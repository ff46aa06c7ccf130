"""One template, another prompt for each seed, the same prompt for the same seed everywhere."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdtui.diffusion.prompt.draws import Draws
from sdtui.diffusion.prompt.errors import PromptError
from sdtui.diffusion.prompt.template import MAX_DRAWS, MAX_LENGTH, expand
from sdtui.diffusion.prompt.wildcards import MAX_BYTES, Wildcards

NOWHERE = Wildcards(Path("/nowhere"))
templates = (
    st.text(max_size=30)
    | st.text(alphabet="ab{|}\\$:2_ (")
    | st.lists(st.sampled_from([*"{{||}}\\_ ", "2$$", "3::", "red", "1-2$$", "$$", "0::", "(a:1.2)"])).map(
        "".join
    )
)


@pytest.fixture
def wildcards(tmp_path: Path) -> Wildcards:
    """Colours in a folder, things that name other wildcards, and files that are no good."""
    files: dict[str, str | bytes] = {
        "colours/warm": "\ufeff# warm ones\nred\n\n  orange  \r\n9::yellow\n",
        "things": "__colours/warm__ apple\n{pear|plum}",
        "left-over": "{\n}",
        "empty": "# nothing\n\n",
        "self": "a __other__",
        "other": "b __self__",
        "latin": b"caf\xe9",
        "long": "x" * (MAX_LENGTH // 2),
        "bomb": "{__bomb2__ __bomb2__}",
        "bomb2": "{__bomb3__ __bomb3__}",
        "bomb3": "a" * 999 + " __bomb4__" * 99,
        "bomb4": "{|}" * 999,
    }
    for name, content in files.items():
        file = tmp_path / f"{name}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Wildcards(tmp_path)


def outcomes(template: str, wildcards: Wildcards = NOWHERE, seeds: int = 200) -> Counter[str]:
    """What the first seeds make of a template, and how often."""
    return Counter(expand(template, seed, wildcards) for seed in range(seeds))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a {red|green} apple", {"a red apple", "a green apple"}),
        ("{a|{b|c}d}", {"a", "bd", "cd"}),
        ("{red|}", {"red", ""}),
        ("{only}", {"only"}),
        ("{}", {""}),
        ("{2$$a|b|c}", {"a, b", "b, a", "a, c", "c, a", "b, c", "c, b"}),
        ("{2$$ and $$a|b}", {"a and b", "b and a"}),
        ("{1-2$$a|b}", {"a", "b", "a, b", "b, a"}),
        ("{2-0$$$$a|b}", {"", "a", "b", "ab", "ba"}),
        ("{9$$a|b}", {"a, b", "b, a"}),
        ("{0::a|b}", {"b"}),
        ("({red|green}:1.2) {(a:1.1)|[b]}",
         {"(red:1.2) (a:1.1)", "(green:1.2) (a:1.1)", "(red:1.2) [b]", "(green:1.2) [b]"}),
        (r"{a\|b|\{c\}} \{d|e\}", {r"a\|b \{d|e\}", r"\{c\} \{d|e\}"}),
        ("{x::y|a:b}", {"x::y", "a:b"}),
        ("| } { a|b { {c}", {"| } { a|b { c"}),
    ],
)  # fmt: skip
def test_what_is_drawn(template: str, expected: set[str]) -> None:
    assert set(outcomes(template)) == expected


def test_weights_are_how_often() -> None:
    drawn = outcomes("{3::a|b|0.5::c}", seeds=4500)
    assert [round(drawn[option] / 100) for option in "abc"] == pytest.approx([30, 10, 5], abs=1)


def test_the_same_on_every_machine() -> None:
    """Draws as anyone can compute them, and what they made when this was written."""
    digest = hashlib.sha256(b"7/prompt/0").digest()
    expected = int.from_bytes(digest, "big") / 2**256
    assert Draws(7, "prompt").fraction() == pytest.approx(expected, abs=2**-52)
    template = "{red|green|blue} {2$$x|y|z} {1-3$$ $$p|q|r}"
    assert [expand(template, seed, NOWHERE) for seed in (0, 1, 2**32 - 1)] == [
        "blue z, y p",
        "green z, x p q",
        "blue z, x p q",
    ]


def test_streams_and_neighbouring_seeds_are_independent() -> None:
    one = [Draws(seed, "prompt").fraction() for seed in range(2000)]
    other = [Draws(seed, "negative_prompt").fraction() for seed in range(2000)]
    for left, right in ((one, other), (one, one[1:])):
        pairs = Counter((a < 0.5, b < 0.5) for a, b in zip(left, right, strict=False))
        assert all(abs(count - 500) < 100 for count in pairs.values())


def test_wildcards_are_lines_of_files(wildcards: Wildcards) -> None:
    assert set(outcomes("__colours/warm__", wildcards)) == {"red", "orange", "yellow"}
    assert outcomes("__colours/warm__", wildcards)["yellow"] > 120
    things = {"red apple", "orange apple", "yellow apple", "pear", "plum"}
    assert set(outcomes("__things__", wildcards)) == things
    assert set(outcomes("a__things____things__", wildcards)) <= {
        f"a{a}{b}" for a, b in itertools.product(things, things)
    }
    assert wildcards.names()[-4:] == ["long", "other", "self", "things"]
    assert "colours/warm" in wildcards.names()
    assert NOWHERE.names() == []


@given(template=templates, seed=st.integers(0, 2**32 - 1))
def test_nothing_is_left_to_draw(template: str, seed: int) -> None:
    try:
        prompt = expand(template, seed, NOWHERE)
    except PromptError as error:
        assert "weight 0" in error.why or "there is no" in error.why or "a name is" in error.why
    else:
        assert expand(prompt, seed + 1, NOWHERE) == prompt


def test_what_comes_together_by_chance_is_no_choice(wildcards: Wildcards) -> None:
    template = "__left-over__a|b__left-over__ {_}_colours/warm_{_}"
    for prompt in outcomes(template, wildcards):
        assert expand(prompt, 1, wildcards) == prompt
    assert r"\{a\|b\} _\_colours/warm_\_" in outcomes(template, wildcards)


@pytest.mark.parametrize(
    ("template", "what", "why", "remedy"),
    [
        ("__colour/warm__", "wildcard __colour/warm__", "there is no .*/colour/warm.txt", "__colours/warm__"),
        ("__nothing-like-it__", "__nothing-like-it__", "there is no", "write that file"),
        ("__empty__", "__empty__", "empty.txt has no lines", "an alternative on each line"),
        ("__latin__", "__latin__", "not text in UTF-8", "save it as UTF-8"),
        ("__a/../../secret__", "__a/../../secret__", "a name is words", "write it as in"),
        ("__a//b__", "__a//b__", "a name is words", "write it as in"),
        ("__a/.hidden__", "__a/.hidden__", "a name is words", "write it as in"),
        ("__colours__", "__colours__", "there is no", "__colours/warm__"),
        ("__self__", "wildcard __self__", "it is in itself, by way of __other__", "take it out"),
        ("__long__ __long__", "prompt cannot be expanded", f"longer than {MAX_LENGTH}", "fewer"),
        ("__bomb__", "prompt cannot be expanded", f"more than {MAX_DRAWS} times", "fewer"),
        ("{" * 65 + "}" * 65, "prompt cannot be expanded", "more than 64 choices", "fewer"),
        ("{0::a|0::b}", "prompt cannot be expanded", "the weight 0", "a weight above 0"),
    ],
)
def test_what_cannot_be_expanded(
    template: str, what: str, why: str, remedy: str, wildcards: Wildcards
) -> None:
    with pytest.raises(PromptError, match=f"{what}.*{why}.*{remedy}") as refusal:
        expand(template, 0, wildcards)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_too_large_is_not_read(wildcards: Wildcards, tmp_path: Path) -> None:
    with (tmp_path / "large.txt").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(PromptError, match=r"large\.txt is larger than 8 MB"):
        wildcards.lines("large")


def test_a_file_is_read_once(wildcards: Wildcards, tmp_path: Path) -> None:
    before = wildcards.lines("things")
    (tmp_path / "things.txt").write_text("other")
    assert wildcards.lines("things") is before
    assert Wildcards(tmp_path).lines("things") == ("other",)


@pytest.mark.usefixtures("home")
def test_they_lie_in_the_configuration_folder(home: Path) -> None:
    (home / "config" / "wildcards").mkdir(parents=True)
    (home / "config" / "wildcards" / "fruit.txt").write_text("apple")
    assert expand("an __fruit__", 0, Wildcards()) == "an apple"
