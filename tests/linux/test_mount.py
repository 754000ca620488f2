from __future__ import annotations

import pytest

from compose_lite.linux import mount


@pytest.mark.parametrize("paths", [["/a"], ["/a", "/b/c"], ["/with:colon", "/with,comma", "/back\\slash"]])
def test_lower_folders_are_read_back(paths: list[str]) -> None:
    assert mount.unescaped(":".join(mount.escaped(path, colon=True) for path in paths)) == paths
