"""The runtime suite on cgroup v2: in a guest of its own (guest.py), by root and by an ordinary user; tests/runtime there; and what systemd
gives (test_systemd.py).

    CONFORMANCE_DIR=... python tests/vm/suite.py [--part root|user|runtime|systemd ...] [--timeout SECONDS] [--only WORDS] [--anew]

Each part is one boot. What has been seen is kept (--record, a line of JSON a case), so that a run that was cut off, or ends by its
timeout, goes on where it was; --anew begins again. Exit status 0: every case passed, or is in `exceptions` with its reason.
Needs what guest.py needs. Without KVM (emulated) a part takes an hour or two; with it minutes. Of the part `user`, emulated, only the
cases in `subset` run, unless --whole.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PARTS = ("root", "user", "runtime", "systemd")
Outcomes = dict[str, dict[str, Any]]  # case -> its RESULT line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", action="append", choices=PARTS)
    parser.add_argument("--record", type=Path, default=Path("/var/tmp/compose-lite-guest/record"), help="folder of what has been seen")
    parser.add_argument("--timeout", type=int, default=7200, help="of one boot")
    parser.add_argument("--only", help="as pytest's -k")
    parser.add_argument("--anew", action="store_true")
    parser.add_argument("--no-kvm", action="store_true")
    parser.add_argument("--whole", action="store_true", help="the part user whole, emulated too")
    wish = parser.parse_args()
    if not os.environ.get("CONFORMANCE_DIR"):
        parser.error("CONFORMANCE_DIR is not set: the folder of the black-box suites")
    suites, images = Path(os.environ["CONFORMANCE_DIR"]).resolve(), wish.record.parent / "images"
    wish.record.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "images.py", "--cache", images], cwd=suites, check=True)
    good = True
    for part in wish.part or PARTS:
        record = wish.record / f"{part}.jsonl"
        if wish.anew:
            record.unlink(missing_ok=True)
        for cases in _cases(part, wish):
            _go_on(part, cases, record, suites, images, wish)
        excepted = exceptions((HERE / "exceptions").read_text(), part)
        if part == "user":
            excepted |= exceptions((HERE.parent / "conformance/rootless.exceptions").read_text())
        good = _tell(part, seen(record.read_text() if record.exists() else ""), excepted) and good
    return 0 if good else 1


def seen(text: str) -> Outcomes:
    """Of a record; the last word on a case counts, but that it was skipped only if nothing else was said (of several boots)."""
    found: Outcomes = {}
    for one in map(json.loads, text.splitlines()):
        if one["outcome"] != "skipped" or one["case"] not in found:
            found[one["case"]] = one
    return found


def exceptions(text: str, part: str = "") -> dict[str, str]:
    """Case -> reason, of lines `part case  # reason` of this part; without one, of lines `case  # reason`."""
    lines = [line.partition("  # ") for line in text.splitlines() if line and not line.startswith("#")]
    begins = f"{part} " if part else ""
    return {case.removeprefix(begins): reason for case, _, reason in lines if case.startswith(begins)}


def subset(text: str) -> list[str]:
    """Files and cases, one a line."""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _cases(part: str, wish: argparse.Namespace) -> list[list[str]]:
    """What pytest is told of each boot. An ordinary user's: `subset`, and not emulated all that is not marked `root` before."""
    if part in ("runtime", "systemd"):
        return [[]]
    emulated = wish.no_kvm or not os.access("/dev/kvm", os.R_OK | os.W_OK)
    if part == "user":
        return [*([["-m", "not root", "runtime"]] if wish.whole or not emulated else []), subset((HERE / "subset").read_text())]
    return [["runtime"]]


def _go_on(part: str, cases: list[str], record: Path, suites: Path, images: Path, wish: argparse.Namespace) -> None:
    known = seen(record.read_text() if record.exists() else "")
    # of several boots each goes on from the one before: there all is done anew
    done = [case for case, one in known.items() if one["outcome"] in ("passed", "skipped") and part != "systemd"]
    guest = [sys.executable, str(HERE / "guest.py"), "--timeout", str(wish.timeout), "--share", str(suites), "--share", str(images)]
    if wish.no_kvm:
        guest.append("--no-kvm")
    if part in ("user", "systemd"):
        guest.append("--systemd")
    if part == "systemd":
        guest += ["--boots", "2"]
    inside = ["sh", "tests/vm/inside.sh", part, f"/share/{suites.name}", f"/share/{images.name}"]
    for case in done:
        inside += ["--deselect", case]
    if wish.only:
        inside += ["-k", wish.only]
    inside += cases
    machine = subprocess.Popen([*guest, "--", *inside], stdout=subprocess.PIPE, text=True)
    assert machine.stdout
    with record.open("a") as kept:
        for line in machine.stdout:
            if found := re.fullmatch(r"RESULT (\{.*\})\n", line):
                kept.write(found[1] + "\n")
                kept.flush()
                one = json.loads(found[1])
                print(f"{part} {one['outcome']} {one['case']} ({one['seconds']} s)", flush=True)
            elif line.strip():
                print(line, end="", flush=True)
    machine.wait()


def _tell(part: str, found: Outcomes, excepted: dict[str, str]) -> bool:
    """Prints the part's end as pytest would; whether it is good."""
    failed = {case: one for case, one in found.items() if one["outcome"] == "failed" and case not in excepted}
    for case, one in failed.items():
        print(f"FAILED {part} {case}\n{one['text']}\n")
    for case, reason in excepted.items():
        print(f"excepted {part} {case}: {reason}")
    counts = {word: sum(one["outcome"] == word for one in found.values()) for word in ("passed", "skipped")}
    missing = set()
    if part == "root":
        missing = set((HERE.parent / "conformance/runtime.txt").read_text().split("\n")[:-1]) - set(found)
    later = f", {len(missing)} not run yet" if missing else ""
    told = f"{counts['passed']} passed, {counts['skipped']} skipped, {len(excepted)} excepted, {len(failed)} failed{later}"
    print(f"{part}, cgroup v2: {told}", flush=True)
    return not failed and not missing and bool(found)


if __name__ == "__main__":
    sys.exit(main())
