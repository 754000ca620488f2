"""The command: compares, shard by shard, what the oracle and our loader say of each document. Ends with status 1 on a disagreement.

A shard that is done is noted in --state, so that the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.spec.differential.compare import Compared, compare, files, reference
from tests.spec.differential.real import compare_real


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.spec.differential", description=__doc__)
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shard", default="", help="i/n: only this part (default: all of ten, one after the other)")
    parser.add_argument("--state", type=Path, help="a folder in which finished shards are noted")
    parser.add_argument("--reference", type=int, default=0, metavar="N", help="ask a Docker Compose about N of the documents")
    parser.add_argument("--reference-command", default="docker compose", metavar="WORDS")
    parser.add_argument("--folder", type=Path, help="instead: ask a Docker Compose about the Compose files below it, and compare `config`")
    parser.add_argument("--show", type=int, default=20, help="so many disagreements in full")
    wanted = parser.parse_args()
    first, _, parts = wanted.shard.partition("/")
    shards = [(int(first), int(parts))] if wanted.shard else [(i, 10) for i in range(10)]
    total = Compared()
    if wanted.folder:
        shards = []
        total = compare_real(wanted.folder.absolute(), wanted.reference_command.split())
    with tempfile.TemporaryDirectory(prefix="differential-", dir="/tmp") as folder:
        files(Path(folder))
        for shard, of in shards:
            note = wanted.state / f"{wanted.seed}-{wanted.documents}-{shard}-{of}.json" if wanted.state else None
            if note and note.exists():
                part = Compared(**json.loads(note.read_text()))
            else:
                part = compare(wanted.seed, range(shard, wanted.documents, of), folder)
                if note:
                    note.parent.mkdir(parents=True, exist_ok=True)
                    note.write_text(json.dumps(vars(part)))
            total.add(part)
            print(f"shard {shard}/{of}: {part.line()}", flush=True)
        if wanted.reference:
            step = max(1, wanted.documents // wanted.reference)
            asked = reference(wanted.seed, range(0, step * wanted.reference, step), folder, wanted.reference_command.split())
            print(f"reference: {asked.line()}", flush=True)
            total.disagreements += asked.disagreements
    print(f"all: {total.line()}")
    for one in total.disagreements[: wanted.show]:
        print(json.dumps(one))
    return 1 if total.disagreements else 0


sys.exit(main())
