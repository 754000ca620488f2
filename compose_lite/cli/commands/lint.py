"""`lint`: what is no error but will hurt (lint/rules.py); `--fix` puts right what does not change the project.

After a fix the project is loaded anew; were it another one, the files would be put back.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, flag, option, options
from compose_lite.disk import write_atomic
from compose_lite.errors import Error, GraphError, SpecError, UsageError, nearest
from compose_lite.lint.edits import edited
from compose_lite.lint.finding import Edit, Finding
from compose_lite.lint.report import FORMATS
from compose_lite.lint.rules import RULES, findings
from compose_lite.lint.subject import Source, Subject, files_of, source_of
from compose_lite.spec.load import Loaded, load

COMMAND = Command(
    "lint",
    "Find what is no error in a Compose file but will hurt",
    (
        flag("--fix", help="Put right what does not change the project: obsolete keys, quotes, unused anchors and resources"),
        option("--format", default="text", help="Values: [text | json | github | sarif]"),
        options("--ignore", help="Leave out this rule (docs/lint)"),
        option("-o", "--output", default="", help="Save to file (default to stdout)"),
    ),
)
ROUNDS = 5
"""Edits that overlap wait for the next round."""


def run(context: Context, fix: bool, format: str, ignore: tuple[str, ...], output: str) -> int:
    if format not in FORMATS:
        raise UsageError("format", f'unsupported format "{format}"', remedy=nearest(format, FORMATS) or "Say text, json, github or sarif.")
    codes = [rule.code for rule in RULES]
    for code in ignore:
        if code not in codes:
            raise UsageError("lint-rule", f'there is no rule "{code}"', remedy=nearest(code, codes) or "See docs/lint.")
    sources: dict[str, Source] = {}
    try:
        found = _fixed(context, ignore, sources) if fix else _look(context, ignore, sources)[1]
    except (SpecError, GraphError) as error:
        found = [Finding(error.code, error.place, error.says, error.remedy or "", "error")]
    made = FORMATS[format](found, sources, context.cwd)
    if not output:
        context.out.write(made)
    else:
        try:
            Path(context.cwd, output).write_text(made, encoding="utf-8")
        except OSError as error:
            raise Error("config-output", f"{output}: cannot be written: {error.strerror}") from error
    return 1 if any(finding.level != "note" for finding in found) else 0


def _look(context: Context, ignore: Sequence[str], sources: dict[str, Source]) -> tuple[Loaded, list[Finding]]:
    """Loads the project and asks all rules; sources: filled with its files."""
    loaded = load(context.load_options())
    for file in files_of(loaded.project):
        sources[file] = source_of(file, Path(file).read_bytes())
    subject = Subject(loaded.project, sources, loaded.project.compose_files)
    return loaded, findings(subject, frozenset(ignore))


def _fixed(context: Context, ignore: Sequence[str], sources: dict[str, Source]) -> list[Finding]:
    """What is left after the fixes."""
    loaded, found = _look(context, ignore, sources)
    before_fix = loaded.project.model_dump()  # values alone: the places have changed
    before: dict[str, bytes] = {}
    for _ in range(ROUNDS):
        edits = [finding.edit for finding in found if finding.edit is not None]
        if not edits:
            break
        _apply(edits, before)
        try:
            again, found = _look(context, ignore, sources)
            same = again.project.model_dump() == before_fix
        except (SpecError, GraphError):
            same = False
        if not same:
            for file, content in before.items():
                _replace(file, content)
            raise Error(
                "lint-fix", "the fixes would change the project: the files are as before", remedy="Put right by hand what lint says."
            )
    if before:
        context.err.write("".join(f"fixed {file}\n" for file in before))
    return found


def _apply(edits: Sequence[Edit], before: dict[str, bytes]) -> None:
    for file in dict.fromkeys(edit.file for edit in edits):
        content = Path(file).read_bytes()
        text = content.decode("utf-8", "surrogateescape")
        new = edited(text, [edit for edit in edits if edit.file == file]).encode("utf-8", "surrogateescape")
        try:
            _replace(file, new)
        except OSError as error:
            raise Error("config-output", f"{file}: cannot be written: {error.strerror}") from error
        before.setdefault(file, content)


def _replace(file: str, content: bytes) -> None:
    """The file is the old or the new one, whatever happens; its mode and owner stay, and a link to it stays one."""
    target = Path(os.path.realpath(file))
    was = target.stat()
    write_atomic(target, content)
    if (target.stat().st_uid, target.stat().st_gid) != (was.st_uid, was.st_gid):
        os.chown(target, was.st_uid, was.st_gid)
    target.chmod(stat.S_IMODE(was.st_mode))
