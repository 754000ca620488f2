"""Records what a Docker Compose 2.40 prints: `python -m tests.spec.recorded docker compose [--only NAME ...]`."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.spec.recorded import CASES, REFUSED, read, shown, write


def main(words: list[str]) -> None:
    command, only = (words[: words.index("--only")], words[words.index("--only") + 1 :]) if "--only" in words else (words, [])
    for path in sorted(CASES.glob("*.txt")):
        if only and path.stem not in only:
            continue
        case = read(path)
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top, path.stem)
            folder.mkdir()
            case.lay_out(folder)
            env = {"PATH": os.environ["PATH"], "HOME": "/home/u", **case.env}
            for line in case.outputs:
                done = subprocess.run(
                    [*command, *shlex.split(line)], cwd=folder, env=env, input=case.stdin, capture_output=True, text=True, check=False
                )
                case.outputs[line] = REFUSED if done.returncode else shown(done.stdout, folder)
        write(path, case)


if __name__ == "__main__":
    main(sys.argv[1:])
