"""Rules of the machine for one network: masquerade outwards, nothing unasked inwards, nothing out of an internal one.

One nf_tables table a network: made in one batch, gone with one message. Where Docker's iptables drop forwarded
packets, an accept in a table of ours does not help (every base chain of a hook must accept), so our accept goes
into its DOCKER-USER chain, marked, and is taken back with the network.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from compose_lite.linux import nf_tables as nft

_STRAY = "stray-answers"
_FOREIGN = ("filter", "DOCKER-USER")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the rules need to know of a network. subnets: (address, prefix) each."""

    table: str
    bridge: str
    subnets: tuple[tuple[str, int], ...]
    internal: bool = False
    masquerade: bool = True
    gateways: tuple[str, ...] = ()
    host_port: int = 0  # where TCP to the gateways goes instead (engine/hostway.py); 0: nowhere else


def install(rules: Rules) -> None:
    """Replaces the network's table. Raises OSError where nf_tables is missing."""
    with nft.Netfilter() as netfilter:
        batch = netfilter.batch()
        for family in (nft.FAMILY_IP, nft.FAMILY_IP6):
            if rules.table in netfilter.tables(family):
                batch.delete_table(family, rules.table)
        for family in sorted({nft.FAMILY_IP6 if ":" in address else nft.FAMILY_IP for address, _ in rules.subnets}):
            _fill(batch, family, rules)
        batch.commit(f"rules of {rules.bridge}")
        if netfilter.has_chain(nft.FAMILY_IP, *_FOREIGN):
            _pass_docker(netfilter, rules)


def _fill(batch: nft.Batch, family: int, rules: Rules) -> None:
    table, bridge = rules.table, rules.bridge
    to_us = [*nft.interface("out", bridge), *nft.interface("in", bridge, equal=False)]
    from_us = [*nft.interface("in", bridge), *nft.interface("out", bridge, equal=False)]
    batch.table(family, table)
    batch.chain(family, table, "forward", "filter", nft.HOOK_FORWARD, nft.PRIORITY_FILTER)
    batch.rule(family, table, "forward", [*to_us, *nft.connection_state(nft.CT_NEW | nft.CT_INVALID), *nft.verdict(nft.NF_DROP)])
    if rules.internal:
        batch.rule(family, table, "forward", [*from_us, *nft.verdict(nft.NF_DROP)])
        batch.rule(family, table, "forward", [*to_us, *nft.verdict(nft.NF_DROP)])
    if rules.host_port and not rules.internal and family == nft.FAMILY_IP:
        batch.chain(family, table, "prerouting", "nat", nft.HOOK_PREROUTING, nft.PRIORITY_DSTNAT)
        for gateway in (one for one in rules.gateways if ":" not in one):
            match = [*nft.interface("in", bridge), *nft.destination(gateway), *nft.protocol(socket.IPPROTO_TCP)]
            batch.rule(family, table, "prerouting", [*match, *nft.dnat(gateway, rules.host_port)])
    if not rules.internal and rules.masquerade:
        batch.chain(family, table, "postrouting", "nat", nft.HOOK_POSTROUTING, nft.PRIORITY_SRCNAT)
        for address, prefix in rules.subnets:
            if (":" in address) == (family == nft.FAMILY_IP6):
                match = [*nft.source_network(address, prefix), *nft.interface("out", bridge, equal=False)]
                batch.rule(family, table, "postrouting", [*match, *nft.masquerade()])


def _pass_docker(netfilter: nft.Netfilter, rules: Rules) -> None:
    """Docker also makes bridged packets pass the firewall (bridge-nf-call-iptables), so an internal network's need it as well."""
    inward, outward = nft.interface("in", rules.bridge), nft.interface("out", rules.bridge)
    batch = netfilter.batch()
    for match in [[*inward, *outward]] if rules.internal else [inward, outward]:
        batch.rule(nft.FAMILY_IP, *_FOREIGN, [*match, *nft.verdict(nft.NF_ACCEPT)], note=rules.table, first=True)
    with contextlib.suppress(OSError):
        batch.commit("accept in DOCKER-USER")


def drop_stray_answers() -> None:
    """Inside a rootless network namespace: packets that belong to no connection end here.

    The way out (pasta of 2023) sends some segments without ACK. Connection tracking does not take them for answers, so they
    would reach the namespace itself, which has no such socket and would reset the container's connection.
    """
    with contextlib.suppress(OSError), nft.Netfilter() as netfilter:
        batch = netfilter.batch()
        if _STRAY in netfilter.tables(nft.FAMILY_IP):
            batch.delete_table(nft.FAMILY_IP, _STRAY)
        batch.table(nft.FAMILY_IP, _STRAY)
        batch.chain(nft.FAMILY_IP, _STRAY, "input", "filter", nft.HOOK_INPUT, nft.PRIORITY_FILTER)
        batch.rule(nft.FAMILY_IP, _STRAY, "input", [*nft.connection_state(nft.CT_INVALID), *nft.verdict(nft.NF_DROP)])
        batch.commit("rule against stray answers")


def remove(table: str) -> None:
    """Takes the network's table and marks back; silently if they are gone."""
    with contextlib.suppress(OSError), nft.Netfilter() as netfilter:
        batch = netfilter.batch()
        doomed = [family for family in (nft.FAMILY_IP, nft.FAMILY_IP6) if table in netfilter.tables(family)]
        for family in doomed:
            batch.delete_table(family, table)
        if netfilter.has_chain(nft.FAMILY_IP, *_FOREIGN):
            for handle, note in netfilter.rules(nft.FAMILY_IP, *_FOREIGN):
                if note == table:
                    batch.delete_rule(nft.FAMILY_IP, *_FOREIGN, handle)
        batch.commit(f"remove {table}")


def leftovers(prefix: str) -> set[str]:
    """Names of tables that begin with the prefix."""
    with contextlib.suppress(OSError), nft.Netfilter() as netfilter:
        return {t for family in (nft.FAMILY_IP, nft.FAMILY_IP6) for t in netfilter.tables(family) if t.startswith(prefix)}
    return set()


def enable_forwarding() -> None:
    """net.ipv4.ip_forward, which a bridge to the outside needs; OSError where it may not be set."""
    switch = Path("/proc/sys/net/ipv4/ip_forward")
    if switch.read_text().strip() != "1":
        switch.write_text("1")
