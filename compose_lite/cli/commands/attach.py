"""`attach`: this terminal at a service's running container; its exit status is ours."""

from __future__ import annotations

from compose_lite.cli import streams
from compose_lite.cli.attaching import joined
from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, flag, option
from compose_lite.errors import ProjectError
from compose_lite.project.observe import containers_of

COMMAND = Command(
    "attach",
    "Attach local standard input, output, and error streams to a service's running container",
    (
        argument("service"),
        option("--detach-keys", default="", help="Override the key sequence for detaching from a container."),
        option("--index", type=int, default=0, help="index of the container if service has multiple replicas."),
        flag("--no-stdin", help="Do not attach STDIN"),
        flag("--sig-proxy", default=True, help="Proxy all received signals to the process"),
    ),
)


async def run(context: Context, service: str, detach_keys: str, index: int, no_stdin: bool, sig_proxy: bool) -> int:
    keys = streams.detach_keys(detach_keys) if detach_keys else streams.DETACH_KEYS
    _, name = context.load_or_name()
    engine = await context.engine()
    found = [c for c in await containers_of(engine, name, [service], all=False) if not index or c.number == index]
    if not found:
        which = f"container #{index} of service" if index else "service"
        raise ProjectError("not-running", f'{which} "{service}" is not running', remedy=f"Start it: `compose-lite up -d {service}`.")
    return await joined(engine, found[0].id, stdin=not no_stdin, proxied=sig_proxy, detach=keys)
