"""A terminal in a browser: xterm.js with its image addon, which knows iTerm2's protocol and sixel.

The page and the program's output go over one small web server, on this machine only.
"""

from __future__ import annotations

import base64
import mimetypes
import os
import select
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.on_terminal import OnTerminal

FOLDER = Path(__file__).parent / "browser"
MODULES = FOLDER / "node_modules"
"""``npm install --prefix tests/terminal/browser`` puts xterm.js there."""
COLUMNS, ROWS = 100, 40


@contextmanager
def served(command: Sequence[str]) -> Iterator[str]:
    """Run a program for one page; yields the page's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/written":
                self._follow()
                return
            path = FOLDER / ("page.html" if self.path == "/" else self.path.lstrip("/"))
            if not path.resolve().is_relative_to(FOLDER) or not path.is_file():
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            self._begin(mimetypes.guess_type(path)[0] or "text/plain")
            self.wfile.write(path.read_bytes())

        def do_POST(self) -> None:
            os.write(child.controller, self.rfile.read(int(self.headers["Content-Length"])))
            self._begin("text/plain")

        def _begin(self, kind: str) -> None:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", kind)
            self.end_headers()

        def _follow(self) -> None:
            self._begin("text/event-stream")
            while not ended.is_set():
                if select.select([child.controller], [], [], 0.1)[0]:
                    self.wfile.write(b"data: %s\n\n" % base64.b64encode(os.read(child.controller, 1 << 16)))
                    self.wfile.flush()

        def log_message(self, format: str, *parts: object) -> None:
            pass

    child, ended = OnTerminal(command, COLUMNS, ROWS), threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
        child.close()
