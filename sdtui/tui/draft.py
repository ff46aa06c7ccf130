"""The request while it is being written: what the editor and the request panel change."""

from __future__ import annotations

from random import SystemRandom

import msgspec

from sdtui.request import SEED_LIMIT, Choices, GenerationRequest
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
        """The request as it stands. Raises :class:`~sdtui.request.RequestError` when it is not valid yet."""
        fields = msgspec.structs.asdict(self)
        del fields["seed_locked"]
        return GenerationRequest(**fields)

    def checked(self) -> Draft:
        """This draft, if a request with a prompt could have its values. Raises RequestError."""
        self.replace(prompt=self.prompt if self.prompt.strip() else "anything").request()
        return self

    def with_seed(self) -> Draft:
        """This draft with the seed that its next generation uses."""
        if self.seed_locked and self.seed is not None:
            return self
        return self.replace(seed=SystemRandom().randrange(SEED_LIMIT))

    def with_next_seed(self) -> Draft:
        """The seed after the last one, locked: a walk through seeds that can be walked again."""
        seed = SystemRandom().randrange(SEED_LIMIT) if self.seed is None else (self.seed + 1) % SEED_LIMIT
        return self.replace(seed=seed, seed_locked=True)


def draft_of(request: GenerationRequest) -> Draft:
    """A draft that makes the same picture again."""
    chosen = {field: getattr(request, field) for field in Choices.__struct_fields__}
    return Draft(**chosen, seed_locked=request.seed is not None)


def starting_draft(settings: Settings) -> Draft:
    """An empty draft with everything else as the settings say."""
    return draft_of(settings.request("anything")).replace(prompt="")


def differing(draft: Draft, request: GenerationRequest) -> frozenset[str]:
    """The fields in which the draft's next picture differs from the one that ``request`` made.

    A seed that is drawn anew each time always differs, which goes without saying, and so do the words
    that are drawn from it.
    """
    names = set(Choices.__struct_fields__) - {"count"}
    # The model's own size goes without saying here; the engine writes it down.
    names -= {name for name in ("width", "height") if getattr(draft, name) is None}
    if not draft.seed_locked:
        names -= {"seed"}
    if draft.prompt == request.template:
        names -= {"prompt"}
    return frozenset(name for name in names if getattr(draft, name) != getattr(request, name))
