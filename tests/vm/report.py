"""A pytest plugin for the guest: one line a case, as it ends, since a machine that is cut off has no summary.

RESULT {"case": "runtime/test_rt_exec.py::test_exec_stdin", "outcome": "passed", "seconds": 1.2, "text": ""}
"""

from __future__ import annotations

import json

import pytest


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or not report.passed:
        text = str(report.longrepr or "")[-6000:]
        found = {"case": report.nodeid, "outcome": report.outcome, "seconds": round(report.duration, 1), "text": text}
        print("\nRESULT " + json.dumps(found), flush=True)
