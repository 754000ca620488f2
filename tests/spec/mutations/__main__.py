"""The command: damages real files and loads them, shard by shard. Ends with status 1 when something was neither loaded nor refused.

A shard that is done is noted in --state, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path

from tests.spec.mutations.damage import damaged, files
from tests.spec.mutations.runner import outcomes, read


def load(seed: int, number: int, sources: list[Path]) -> str:
    file, text = damaged(seed, number, sources)
    return read(text, str(file.parent))


def shard(seed: int, numbers: range, sources: list[Path]) -> dict[str, object]:
    counts = {"loaded": 0, "refused": 0}
    wrong: list[tuple[int, str]] = []
    for number, outcome in outcomes((number, partial(load, seed, number, sources)) for number in numbers):
        if outcome in counts:
            counts[outcome] += 1
        else:
            wrong.append((number, outcome))
    return {**counts, "wrong": wrong}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.spec.mutations", description=__doc__)
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard", default="", help="i/n: only this part (default: all of twenty, one after the other)")
    parser.add_argument("--state", type=Path, help="a folder in which finished shards are noted")
    parser.add_argument("--files", type=Path, action="append", default=[], help="a folder with more Compose files to damage")
    wanted = parser.parse_args()
    first, _, parts = wanted.shard.partition("/")
    shards = [(int(first), int(parts))] if wanted.shard else [(i, 20) for i in range(20)]
    sources, bad = files(*wanted.files), 0
    for index, of in shards:
        note = wanted.state / f"{wanted.seed}-{wanted.mutations}-{index}-{of}.json" if wanted.state else None
        if note and note.exists():
            found = json.loads(note.read_text())
        else:
            found = shard(wanted.seed, range(index, wanted.mutations, of), sources)
            if note:
                note.parent.mkdir(parents=True, exist_ok=True)
                note.write_text(json.dumps(found))
        wrong = found.pop("wrong")
        print(f"shard {index}/{of}: {found}, {len(wrong)} wrong", flush=True)
        for number, outcome in wrong[:10]:
            print(f"  {number}: {outcome}")
        bad += len(wrong)
    return 1 if bad else 0


sys.exit(main())
