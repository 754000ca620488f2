"""Builds at the same time have addresses of their own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytestmark = [pytest.mark.system, pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def test_no_two_builds_share_an_address(cli, busybox_archive: Path, tmp_path: Path) -> None:
    cli("image", "load", "-i", str(busybox_archive))
    step = "RUN echo address $(cat /sys/class/net/eth0/address) && sleep 1"  # the hardware address follows the IP address
    services = "".join(f'  s{n}: {{build: {{dockerfile_inline: "FROM busybox\\n{step}\\n", no_cache: true}}}}\n' for n in range(4))
    (tmp_path / "compose.yaml").write_text(f"services:\n{services}")
    done = cli("--progress", "plain", "build")
    found = re.findall(r"^#\d+ [\d.]+ address ([0-9a-f:]+)", done.stdout + done.stderr, re.M)
    assert len(found) == 4 and len(set(found)) == 4, found
