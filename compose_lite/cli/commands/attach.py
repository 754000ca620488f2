"""`attach`: this terminal at a service's running container; its exit status is ours, 130 after a signal that it was given too."""

from __future__ import annotations

from compose_lite.cli import streams
from compose_lite.cli.attaching import joined
from compose_lite.cli.context import Context
from compose_lite.cli.lifecycle import one_of
from compose_lite.cli.pflag import Command, argument, flag, option

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
    keys = streams.detach_keys(detach_keys, context.environ)
    _, name = context.load_or_name()
    engine = await context.engine()
    container = await one_of(engine, name, service, index, all=False)
    return await joined(engine, container.id, stdin=not no_stdin, proxied=sig_proxy, keys=keys, told=True)
