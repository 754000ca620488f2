"""POST adds one to the store's number and answers with it."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

STORE = os.environ["STORE"]
turn = threading.Lock()


class Counter(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer(urlopen(STORE).read())

    def do_POST(self):
        with turn:
            number = str(int(urlopen(STORE).read()) + 1).encode()
            urlopen(Request(STORE, number, method="PUT"))
        self._answer(number)

    def log_request(self, *_):
        """Only errors are logged."""

    def _answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("0.0.0.0", 8080), Counter).serve_forever()
