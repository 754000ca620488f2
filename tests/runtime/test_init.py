"""What init does before execve that needs no container."""

from __future__ import annotations

import pytest

from compose_lite.runtime.child import StartError
from compose_lite.runtime.init import sysctl_path


def test_where_a_sysctl_is() -> None:
    assert sysctl_path("net.core.somaxconn") == "/proc/sys/net/core/somaxconn"
    assert sysctl_path("net.ipv4.conf.eth0/1.rp_filter") == "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"


@pytest.mark.parametrize("name", ["net.//.kernel.panic", "net./.x", "net..x", "", "net."])
def test_a_sysctl_does_not_leave_its_folder(name: str) -> None:
    with pytest.raises(StartError, match="is no name"):
        sysctl_path(name)
