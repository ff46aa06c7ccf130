"""A Hub on this machine: the few endpoints that huggingface_hub asks for, over real HTTP."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """``repositories`` are folders by name. ``cut`` is how many answers stop half-way before one is whole."""

    repositories: dict[str, Path]
    gated: set[str] = field(default_factory=set)
    cut: int = 0
    requests: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    endpoint: str = ""

    @property
    def downloaded(self) -> set[str]:
        """The paths of files that were asked for."""
        return {match[1] for each in self.requests if (match := re.match(r"GET .*/resolve/\w+/(.*)", each))}


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """``hub`` at an endpoint of 127.0.0.1, until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    cast(Any, server).hub = hub
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return cast(Hub, cast(Any, self.server).hub)

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if "org/" in path:
            self.hub.tokens.add(self.headers.get("Authorization"))
        if match := re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)(?:/(revision|tree)/\w+)?", path):
            self._describe(match[1], match[2])
        elif match := re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/\w+/(.*)", path):
            self._file(match[1], match[2])
        else:
            self._send(404, b"")

    def _describe(self, name: str, what: str | None) -> None:
        folder = self.hub.repositories.get(name)
        if folder is None:
            self._send(401, b"", {"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if what == "tree":
            entries = [
                {
                    "type": "file",
                    "path": file.relative_to(folder).as_posix(),
                    "size": file.stat().st_size,
                    "oid": _etag(file),
                }
                for file in files
            ]
            self._send(200, json.dumps(entries).encode())
            return
        siblings = [
            {"rfilename": file.relative_to(folder).as_posix(), "size": file.stat().st_size} for file in files
        ]
        self._send(
            200,
            json.dumps(
                {"id": name, "modelId": name, "sha": COMMIT, "private": False, "siblings": siblings}
            ).encode(),
        )

    def _file(self, name: str, path: str) -> None:
        if name in self.hub.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"})
            return
        file = self.hub.repositories[name] / path
        if not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        content = file.read_bytes()
        headers = {"ETag": f'"{_etag(file)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            start = int(match[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self._send(206, content[start:], headers)
        else:
            self._send(200, content, headers)

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.cut and len(content) > 10_000:
            self.hub.cut -= 1
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content)


def _etag(file: Path) -> str:
    return hashlib.sha1(file.read_bytes()).hexdigest()
