"""The integration test itself: knows only the published port."""

import os
import unittest
from concurrent.futures import ThreadPoolExecutor
from urllib.request import Request, urlopen

COUNTER = f"http://{os.environ['COUNTER']}/"


def add(_=None):
    return int(urlopen(Request(COUNTER, b"", method="POST"), timeout=10).read())


class Counting(unittest.TestCase):
    def test_adds_one(self):
        before = int(urlopen(COUNTER, timeout=10).read())
        self.assertEqual(add(), before + 1)

    def test_nothing_is_lost_side_by_side(self):
        before = int(urlopen(COUNTER, timeout=10).read())
        with ThreadPoolExecutor(4) as clients:
            list(clients.map(add, range(40)))
        self.assertEqual(int(urlopen(COUNTER, timeout=10).read()), before + 40)


if __name__ == "__main__":
    unittest.main()
