"""`port`: where a port of a service is published on the host."""

from __future__ import annotations

from compose_lite.cli.context import Context
from compose_lite.cli.pflag import Command, argument, option
from compose_lite.errors import ProjectError, UsageError
from compose_lite.project.observe import containers_of

COMMAND = Command(
    "port",
    "Print the public port for a port binding",
    (
        option("--index", type=int, default=0, help="Index of the container if service has multiple replicas"),
        option("--protocol", default="tcp", help="tcp or udp"),
        argument("service"),
        argument("private_port"),
    ),
)


async def run(context: Context, service: str, private_port: str, index: int, protocol: str) -> None:
    inner, _, said = private_port.partition("/")
    if not inner.isdigit() or not 0 <= int(inner) <= 65535:
        raise UsageError("port", f"invalid port {private_port!r}", remedy="A port is a number up to 65535.")
    protocol = (said or protocol).lower()
    _, name = context.load_or_name()
    found = await containers_of(await context.engine(), name, [service])
    found = [c for c in found if c.running and (not index or c.number == index)]
    if not found:
        where = f" container #{index}" if index else ""
        raise ProjectError("not-running", f'service "{service}" is not running{where}')
    container = found[0]
    ports = [p for p in container.document.get("Ports") or () if p.get("PublicPort")]
    for port in ports:
        if port["PrivatePort"] == int(inner) and port.get("Type", "tcp") == protocol:
            address = port.get("IP", "")
            context.print(f"{f'[{address}]' if ':' in address else address}:{port['PublicPort']}")
            return
    published = ", ".join(dict.fromkeys(f"{p['PrivatePort']}/{p.get('Type', 'tcp')}" for p in ports)) or "none"
    raise ProjectError("no-port", f"no port {inner}/{protocol} for container {container.name}: {published} published")
