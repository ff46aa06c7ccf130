"""The request while it is being written: what the editor and the request panel change."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import msgspec

from sdtui.request import SCHEDULERS, SEED_LIMIT, Choices, GenerationRequest, RequestError
from sdtui.settings import Settings


class Draft(Choices, frozen=True, kw_only=True):
    """A request that may still be incomplete: the prompt may be empty.

    ``seed`` is the last one used or chosen. Unless ``seed_locked``, each generation draws another.
    """

    prompt: str = ""
    seed_locked: bool = False

    def replace(self, **changes: object) -> Draft:
        """A copy with some fields changed."""
        return msgspec.structs.replace(self, **changes)

    def request(self) -> GenerationRequest:
        """The request as it stands. Raises :class:`RequestError` when it is not valid yet."""
        fields = msgspec.structs.asdict(self)
        del fields["seed_locked"]
        return GenerationRequest(**fields)

    def with_seed(self) -> Draft:
        """This draft with the seed that its next generation uses."""
        if self.seed_locked and self.seed is not None:
            return self
        return self.replace(seed=secrets.randbelow(SEED_LIMIT))

    def with_next_seed(self) -> Draft:
        """The seed after the last one, locked: a walk through seeds that can be walked again."""
        seed = secrets.randbelow(SEED_LIMIT) if self.seed is None else (self.seed + 1) % SEED_LIMIT
        return self.replace(seed=seed, seed_locked=True)


def draft_of(request: GenerationRequest) -> Draft:
    """A draft that makes the same picture again."""
    chosen = {field: getattr(request, field) for field in Choices.__struct_fields__}
    return Draft(**chosen, seed_locked=request.seed is not None)


def starting_draft(settings: Settings) -> Draft:
    """An empty draft with everything else as the settings say."""
    return draft_of(settings.request("anything")).replace(prompt="")


# ---- one row of the request panel each ------------------------------------------------------


class Field(msgspec.Struct, frozen=True):
    """How one field of a draft is shown and changed from the keyboard.

    ``turned`` answers left (-1) and right (+1); ``typed`` reads what a person typed and raises
    :class:`RequestError` when that is no value for this field.
    """

    name: str
    label: str
    shown: Callable[[Draft], str]
    turned: Callable[[Draft, int], Draft]
    typed: Callable[[Draft, str], Draft]


def _checked(draft: Draft) -> Draft:
    """The draft, if a request with a prompt could have these values."""
    draft.replace(prompt=draft.prompt if draft.prompt.strip() else "anything").request()
    return draft


def _bounded(draft: Draft, changed: Draft) -> Draft:
    """The changed draft, or the one before when the change went over an edge."""
    try:
        return _checked(changed)
    except RequestError:
        return draft


def _typed_number(name: str, kind: type[int] | type[float]) -> Callable[[Draft, str], Draft]:
    def typed(draft: Draft, text: str) -> Draft:
        try:
            value = kind(text)
        except ValueError as error:
            raise RequestError(name, f"{text!r} is no number", "type digits") from error
        return _checked(draft.replace(**{name: value}))

    return typed


def _turned_number(name: str, by: float) -> Callable[[Draft, int], Draft]:
    def turned(draft: Draft, direction: int) -> Draft:
        return _bounded(draft, draft.replace(**{name: getattr(draft, name) + by * direction}))

    return turned


def _typed_seed(draft: Draft, text: str) -> Draft:
    if text.strip().lower() in ("", "r", "random"):
        return draft.replace(seed_locked=False)
    return _typed_number("seed", int)(draft, text).replace(seed_locked=True)


def _turned_seed(draft: Draft, direction: int) -> Draft:
    if draft.seed is None:
        return draft.with_next_seed()
    return draft.replace(seed=(draft.seed + direction) % SEED_LIMIT, seed_locked=True)


def _turned_scheduler(draft: Draft, direction: int) -> Draft:
    index = SCHEDULERS.index(draft.scheduler) + direction
    return draft.replace(scheduler=SCHEDULERS[index % len(SCHEDULERS)])


def _typed_scheduler(draft: Draft, text: str) -> Draft:
    for scheduler in SCHEDULERS:
        if scheduler.startswith(text.strip().lower()):
            return draft.replace(scheduler=scheduler)
    raise RequestError("scheduler", f"{text!r} is unknown", f"choose one of {', '.join(SCHEDULERS)}")


FIELDS: tuple[Field, ...] = (
    Field(
        "steps",
        "steps",
        lambda draft: str(draft.steps),
        _turned_number("steps", 1),
        _typed_number("steps", int),
    ),
    Field(
        "guidance_scale",
        "guidance",
        lambda draft: (
            f"{draft.guidance_scale:g}" if draft.guidance_scale % 1 else f"{draft.guidance_scale:.1f}"
        ),
        _turned_number("guidance_scale", 0.5),
        _typed_number("guidance_scale", float),
    ),
    Field(
        "seed",
        "seed",
        lambda draft: "random" if draft.seed is None else str(draft.seed),
        _turned_seed,
        _typed_seed,
    ),
    Field("scheduler", "scheduler", lambda draft: draft.scheduler, _turned_scheduler, _typed_scheduler),
    Field(
        "count",
        "count",
        lambda draft: str(draft.count),
        _turned_number("count", 1),
        _typed_number("count", int),
    ),
)


def differing(draft: Draft, request: GenerationRequest) -> frozenset[str]:
    """The fields in which the draft's next picture differs from the one that ``request`` made.

    A seed that is drawn anew each time always differs, which goes without saying.
    """
    names = set(Draft.__struct_fields__) - {"seed_locked", "count"}
    if not draft.seed_locked:
        names -= {"seed"}
    return frozenset(name for name in names if getattr(draft, name) != getattr(request, name))
