"""Everything that can be looked at without computing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sdtui.doctor import caches, engine, folders, golden, hardware, installation, models, screen
from sdtui.doctor.finding import Finding, examined
from sdtui.machine import this_machine

Examine = Callable[[], Iterable[Finding]]


def diagnosis() -> Iterator[Finding]:
    """What is found, section by section. One that fails stops none of the others."""
    sections: dict[str, Examine] = {
        installation.SECTION: installation.installation,
        hardware.SECTION: lambda: hardware.hardware(this_machine()),
        folders.SECTION: folders.folders,
        caches.SECTION: caches.caches,
        engine.SECTION: engine.engine,
        models.SECTION: models.models,
        golden.SECTION: golden.remembered,
        screen.SECTION: screen.screen,
    }
    for section, examine in sections.items():
        yield from examined(section, examine)
