"""What init does before execve that needs no container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from compose_lite.runtime.child import StartError
from compose_lite.runtime.init import home_of, sysctl_path


def test_where_a_sysctl_is() -> None:
    assert sysctl_path("net.core.somaxconn") == "/proc/sys/net/core/somaxconn"
    assert sysctl_path("net.ipv4.conf.eth0/1.rp_filter") == "/proc/sys/net/ipv4/conf/eth0.1/rp_filter"


@pytest.mark.parametrize("name", ["net.//.kernel.panic", "net./.x", "net..x", "", "net."])
def test_a_sysctl_does_not_leave_its_folder(name: str) -> None:
    with pytest.raises(StartError, match="is no name"):
        sysctl_path(name)


def test_the_home_is_that_of_the_first_line_with_the_user(tmp_path: Path) -> None:
    passwd = tmp_path / "passwd"
    passwd.write_bytes(
        b"root:x:0:0::/rooted:/bin/sh\nbroken\nshort:x:6:6\nlong:x:"
        + b"9" * 5000
        + b":6\n 5:x:5:5:: /one:\r\nb:x:5:5::/two:\n\xff:x:7:7::/\xff:\n"
    )
    wanted = {0: "/rooted", 5: " /one", 6: "", 7: "/\udcff", 8: "/", 9: "/"}
    assert {uid: home_of(uid, str(passwd)) for uid in wanted} == wanted


def test_a_passwd_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "passwd")
    assert home_of(0, str(tmp_path / "passwd")) == home_of(0, "/dev/zero") == home_of(0, str(tmp_path)) == home_of(0, "/no/thing") == "/"
