"""Keeps one number in a file: GET reads it, PUT writes it."""

import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NUMBER = Path("/values/number")


class Store(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(NUMBER.read_bytes() if NUMBER.exists() else b"0")

    def do_PUT(self):
        NUMBER.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"")

    def log_request(self, *_):
        """Only errors are logged."""

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if os.environ["FAIL"]:
    sys.exit("store: told to fail")
ThreadingHTTPServer(("0.0.0.0", 8000), Store).serve_forever()
