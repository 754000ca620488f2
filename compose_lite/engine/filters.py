"""Filters of list and prune calls: Docker's JSON maps, labels, true and false. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def matches_labels(labels: Mapping[str, str], wanted: Sequence[str]) -> bool:
    """Every `key` or `key=value` of the wanted ones is among the labels."""
    for entry in wanted:
        key, equals, value = entry.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
