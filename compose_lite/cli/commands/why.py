"""`why`: why services do not run or are not healthy, in one answer with the next command to try."""

from __future__ import annotations

import time
from collections.abc import Sequence

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, arguments, option
from compose_lite.errors import ProjectError, UsageError, nearest
from compose_lite.project.sight import sights
from compose_lite.project.why import Answer, as_json, as_text, why

COMMAND = Command(
    "why",
    "Tell why services do not run or are not healthy",
    (arguments("services"), option("--format", default="text", help="Format output (text or json)")),
)


async def run(context: Context, services: Sequence[str], format: str) -> int:
    """0 when all of them are fine. Without names: every service that is not."""
    if format not in ("text", "json"):
        raise UsageError("format", f'unsupported format "{format}"', remedy=nearest(format, ("text", "json")) or "Say text or json.")
    project = context.load()
    known = project.all_services()
    for service in services:
        if service not in known:
            raise ProjectError("no-such-service", f"no such service: {service}", remedy=nearest(service, known))
    seen = await sights(await context.engine(), project.name)
    answers = [why(project, name, seen, time.time()) for name in services or project.services]
    shown = answers if services else [a for a in answers if not a.fine]
    if format == "json":
        context.out.write(as_json(shown))
    elif not shown:
        context.print(f"All services of {project.name} are fine: {len(answers)} of {len(answers)}.")
    else:
        context.out.write(context.named("\n".join(as_text(answer) for answer in _once(shown))))
    return 0 if all(a.fine for a in answers) else 1


def _once(answers: Sequence[Answer]) -> list[Answer]:
    """An answer that stands below another one already is not shown again."""
    below = {other.service for answer in answers for other in _all_below(answer)}
    return [answer for answer in answers if answer.service not in below or len(answers) == 1]


def _all_below(answer: Answer) -> list[Answer]:
    return [found for other in answer.after for found in (other, *_all_below(other))]
