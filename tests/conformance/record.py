"""Takes cases into the record of passing ones: those that passed in each of three result files, one of them made with `-n 2`.

    python tests/conformance/record.py scenarios first.xml second.xml third.xml      (pytest's --junit-xml, run in the suites' folder)

The record only grows: a case leaves it by a commit that says why.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

HERE = Path(__file__).parent
RUNS = 3


def passed(suite: str, results: str) -> set[str]:
    """Node ids (`scenarios/test_up.py::test_x[y]`) of a junit file's passed cases; what is above the suite is left out."""
    found = set()
    for case in ElementTree.parse(results).iter("testcase"):
        if not len(case) or all(child.tag in ("system-out", "system-err", "properties") for child in case):
            above, here, module = case.get("classname", "").rpartition(f"{suite}.")
            if here and (not above or above.endswith(".")):
                found.add(f"{suite}/{module.replace('.', '/')}.py::{case.get('name')}")
    return found


def main(suite: str, *results: str) -> None:
    if len(results) < RUNS:
        sys.exit(f"a case enters after {RUNS} passes: {RUNS} result files are needed")
    record = HERE / f"{suite}.txt"
    known = set(record.read_text().splitlines()) if record.exists() else set()
    new = set.intersection(*(passed(suite, one) for one in results))
    record.write_text("".join(f"{case}\n" for case in sorted(known | new)))
    print(f"{record.name}: {len(known)} cases known, {len(new - known)} new")


if __name__ == "__main__":
    main(*sys.argv[1:])
