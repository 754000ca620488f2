"""Errors whose examples are run on a real engine."""

from __future__ import annotations

from tests.system.error_situations import SITUATIONS

RUN_BY_SYSTEM_TESTS = frozenset(SITUATIONS)
"""tests/system/test_error_pages.py runs them."""
