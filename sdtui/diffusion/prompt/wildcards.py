"""The files whose lines stand for ``__name__`` in prompts."""

from __future__ import annotations

from pathlib import Path

from sdtui.diffusion.prompt.errors import PromptError
from sdtui.files import reason
from sdtui.settings import places

MAX_BYTES = 8_000_000
"""Of one file; the largest collections that people share have a few hundred thousand lines in all."""


class Wildcards:
    """A folder of text files; ``__colours/warm__`` is ``colours/warm.txt`` in it.

    A file has an alternative on each line, in UTF-8; empty lines and those that begin with ``#`` are
    left out. It is read once. A name cannot lead out of the folder; a link that its owner put there may.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or places().config / "wildcards"
        self._read: dict[str, tuple[str, ...]] = {}

    def names(self) -> list[str]:
        """What there is to write between underscores, in order."""
        files = self._folder.rglob("*.txt")
        names = (file.relative_to(self._folder).with_suffix("").as_posix() for file in files)
        return sorted(name for name in names if _is_name(name))

    def lines(self, name: str) -> tuple[str, ...]:
        """The alternatives of ``name``, at least one. Raises :class:`PromptError`."""
        if name not in self._read:
            self._read[name] = self._lines(name)
        return self._read[name]

    def _lines(self, name: str) -> tuple[str, ...]:
        if not _is_name(name):
            raise _unusable(name, "a name is words with / between them", "write it as in __colours/warm__")
        file = self._folder / f"{name}.txt"
        try:
            if not file.is_file():
                raise _unusable(name, f"there is no {file}", self._instead(name))
            if file.stat().st_size > MAX_BYTES:
                raise _unusable(name, f"{file} is larger than {MAX_BYTES // 10**6} MB", "split it")
            content = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise _unusable(name, f"{file}: {reason(error)}", "make it readable") from error
        except UnicodeDecodeError as error:
            raise _unusable(name, f"{file} is not text in UTF-8", "save it as UTF-8") from error
        lines = tuple(
            line for each in content.split("\n") if (line := each.strip()) and not line.startswith("#")
        )
        if not lines:
            raise _unusable(name, f"{file} has no lines", "write an alternative on each line")
        return lines

    def _instead(self, name: str) -> str:
        from difflib import get_close_matches  # slow to import, and seldom asked

        close = get_close_matches(name, self.names(), n=1)
        return f"write __{close[0]}__" if close else "write that file, an alternative on each line"


def _is_name(name: str) -> bool:
    """Whether it leads to a file in the folder, and can be written in a prompt."""
    return all(part and not part.startswith(".") for part in name.split("/"))


def _unusable(name: str, why: str, remedy: str) -> PromptError:
    return PromptError(f"the wildcard __{name}__ cannot be used", why, remedy)
