"""The API: what the worker wrote into the shared volume, and where the worker is by name."""

import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTE = Path("/notes/worker.json")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if not NOTE.exists():
            self.send_error(503, "the worker has written nothing yet")
            return
        known = {
            "api": {"greeting": os.environ["GREETING"], "worker_address": socket.gethostbyname("worker")},
            "worker": json.loads(NOTE.read_text()),
        }
        body = json.dumps(known).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


print("api listens", flush=True)
ThreadingHTTPServer(("", 8000), Handler).serve_forever()
