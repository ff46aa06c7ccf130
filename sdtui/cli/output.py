"""Where pictures go and what is said of them on stdout."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sdtui.cli.errors import CommandLineError
from sdtui.engine.protocol import Finished
from sdtui.errors import SdtuiError
from sdtui.files import TEMPORARY, create_atomically, create_numbered, reason, write_atomically

OTHER_PICTURES = {".jpg", ".jpeg", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".heic", ".avif"}


class OutputError(SdtuiError):
    """A picture cannot be put where it was asked for."""


@dataclass(frozen=True)
class Destination:
    """Where copies of the pictures go: into ``folder``, as ``name`` where there is only one.

    Without a folder there are no copies: the pictures stay where the history keeps them.
    """

    folder: Path | None = None
    name: str | None = None
    force: bool = False

    @classmethod
    def of(cls, output: Path | None, count: int, *, force: bool) -> Destination:
        """What ``--output`` means.

        Raises :class:`~sdtui.cli.errors.CommandLineError`, :class:`OutputError`.
        """
        if output is None:
            return cls()
        output = output.expanduser().absolute()
        if output.suffix.lower() in OTHER_PICTURES:
            raise CommandLineError("output is not valid", "pictures are written as PNG", "end it in .png")
        if output.suffix.lower() != ".png" or output.is_dir():
            return cls(output)
        if count > 1:
            raise CommandLineError(
                "output is not valid", f"{output.name} is one file for {count} pictures", "name a folder"
            )
        if output.exists() and not force:
            raise OutputError(f"{output} is not overwritten", "it exists", "add --force or name another")
        return cls(output.parent, output.name, force)

    def prepare(self) -> None:
        """Make the folder, and a file in it that goes at once: before any work is done in vain.

        Raises :class:`OutputError`.
        """
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            probe = self.folder / f"{TEMPORARY}{secrets.token_hex(8)}.tmp"
            probe.touch(exist_ok=False)
            probe.unlink()
        except OSError as error:
            raise OutputError(
                f"no picture can be written to {self.folder}", reason(error), "choose another folder"
            ) from error

    def place(self, picture: Path) -> Path:
        """Copy ``picture`` to where it was asked for, whole or not at all; returns where it is."""
        if self.folder is None:
            return picture
        try:
            content = picture.read_bytes()
            if self.name is None:
                return create_numbered(self.folder, picture.stem, ".png", content)
            path = self.folder / self.name
            (write_atomically if self.force else create_atomically)(path, content)
        except OSError as error:
            raise OutputError(
                f"the picture cannot be copied to {self.folder}", reason(error), f"it is kept as {picture}"
            ) from error
        return path


def picture_json(finished: Finished, path: Path) -> str:
    """The object that ``--json`` prints for one picture."""
    request, result = finished.request, finished.result
    return json.dumps(
        {
            "path": str(path),
            "seed": request.seed,
            "width": result.width,
            "height": result.height,
            "steps": request.steps,
            "scheduler": request.scheduler,
            "model": result.model,
            "prompt": request.prompt,
            "negative_prompt": request.negative_prompt,
            "seconds": msgspec.structs.asdict(result.seconds),
            "peak_memory_bytes": result.peak_memory_bytes,
            "runtime": result.runtime,
        },
        ensure_ascii=False,
    )
