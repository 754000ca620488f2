"""The front: answers with what it, the API and the worker know of each other."""

import json
import os
import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        known = json.load(urllib.request.urlopen(os.environ["API"] + "/known", timeout=5))
        known["web"] = {"host": socket.gethostname(), "api_address": socket.gethostbyname("api")}
        body = json.dumps(known, indent=2, sort_keys=True).encode() + b"\n"
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


print("web listens", flush=True)
ThreadingHTTPServer(("", 8080), Handler).serve_forever()
