"""Where an unfinished bundle lives: beside its output, hidden, everything in it whole.

A killed conversion leaves this folder, and the same request goes on from it: a network is there with
all its packages or not at all, and so is its comparison with torch. Light: the interface imports this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from sdtui.bundle.manifest import NetworkEntry, NetworkRole
from sdtui.conversion import ConversionRequest
from sdtui.convert.plan import Made, Plan
from sdtui.files import write_atomically

PREFIX = ".sdtui-convert-"


class Workspace:
    """The files of one unfinished conversion, in ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def beside(cls, output: Path) -> Workspace:
        """The workspace of the bundle that will be at ``output``."""
        return cls(output.parent / f"{PREFIX}{output.name}")

    @classmethod
    def sweep(cls, folder: Path) -> None:
        """Remove the workspaces in ``folder`` whose bundles are there: a kill came before they could go."""
        for root in folder.glob(f"{PREFIX}*"):
            if (folder / root.name.removeprefix(PREFIX)).exists():
                with contextlib.suppress(OSError), cls(root).held():
                    shutil.rmtree(root)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold it for one conversion. Raises BlockingIOError while another has it; OSError."""
        lock = os.open(self.root, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        finally:
            os.close(lock)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until no other step is at work here: it outlives, for a moment, a killed conversion."""
        with (self.root / "step.lock").open("a") as lock:
            with contextlib.suppress(OSError):  # a file system that knows no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints are unpacked."""
        return self.root / "checkpoints"

    @property
    def words(self) -> Path:
        """The files of the bundle that are no networks."""
        return self.root / "words"

    @property
    def assembled(self) -> Path:
        """The whole bundle, right before it takes its place."""
        return self.root / "bundle"

    @property
    def request(self) -> ConversionRequest:
        return msgspec.json.decode(self._request_file.read_bytes(), type=ConversionRequest)

    @property
    def plan(self) -> Plan:
        return msgspec.json.decode(self._plan_file.read_bytes(), type=Plan)

    @property
    def has_work(self) -> bool:
        """Whether there is a network that took time to make."""
        return any(self.root.glob("networks/*/*/entries.json"))

    def begin(self, request: ConversionRequest) -> None:
        """Remember what is wanted. Raises OSError."""
        self.root.mkdir(parents=True, exist_ok=True)
        write_atomically(self._request_file, msgspec.json.encode(request))

    def write_plan(self, plan: Plan) -> None:
        """Keep ``plan``. Raises OSError."""
        write_atomically(self._plan_file, msgspec.json.encode(plan))

    def keep_to_plan(self) -> None:
        """Remove networks that were made by another plan: they take room, and are of no use to this one."""
        for other in (self.root / "networks").glob("*"):
            if other != self._networks:
                shutil.rmtree(other, ignore_errors=True)

    def unfinished(self, key: str) -> Path:
        """Where a network is being made."""
        return self._network(key).with_suffix(".unfinished")

    def converted(self, key: str) -> Path:
        """The packages of a network, at the paths that they will have in the bundle."""
        return self._network(key) / "packages"

    def finish_conversion(self, key: str, entries: Mapping[NetworkRole, NetworkEntry]) -> None:
        """The packages in :meth:`unfinished` are whole. Raises OSError."""
        unfinished, network = self.unfinished(key), self._network(key)
        write_atomically(unfinished / "entries.json", msgspec.json.encode(entries))
        shutil.rmtree(network, ignore_errors=True)
        unfinished.rename(network)

    def entries(self, key: str) -> dict[NetworkRole, NetworkEntry]:
        """What the manifest says of a converted network, its accuracy not yet known."""
        content = (self._network(key) / "entries.json").read_bytes()
        return msgspec.json.decode(content, type=dict[NetworkRole, NetworkEntry])

    def made(self, key: str) -> Made | None:
        """A network that is converted and compared, or None."""
        file = self._network(key) / "made.json"
        return msgspec.json.decode(file.read_bytes(), type=Made) if file.exists() else None

    def write_made(self, key: str, made: Made) -> None:
        """The network is compared. Raises OSError."""
        write_atomically(self._network(key) / "made.json", msgspec.json.encode(made))

    def remove(self) -> None:
        """Nothing of it is needed any more."""
        shutil.rmtree(self.root, ignore_errors=True)

    @property
    def _networks(self) -> Path:
        return self.root / "networks" / self.plan.identity[:16]

    def _network(self, key: str) -> Path:
        return self._networks / key.replace("/", "-")

    @property
    def _request_file(self) -> Path:
        return self.root / "request.json"

    @property
    def _plan_file(self) -> Path:
        return self.root / "plan.json"
