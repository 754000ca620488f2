from __future__ import annotations

from pathlib import Path

import pytest

from compose_lite.engine.users import User, read_root_file, resolve
from compose_lite.errors import EngineError

PASSWD = (
    "root:x:0:0::/root:/bin/sh\napp:x:1000:1001::/home/app:\n#no:x:5:5\nbroken\n7:x:70:70::/seven:\nodd:x:5:many\nworse:x:²:5\n"
    + f"worst:x:{'9' * 5000}:5\n"
)
GROUP = "root:x:0:\napp:x:1001:\nextra:x:2000:app,other\n"


@pytest.mark.parametrize(
    ("user", "add", "wanted"),
    [
        ("", [], User(0, 0, (0,))),
        ("app", [], User(1000, 1001, (1001, 2000))),
        ("01000", [], User(1000, 1001, (1001, 2000))),
        ("1000", [], User(1000, 1001, (1001, 2000))),
        ("app:root", [], User(1000, 0, (0,))),
        ("app:5", ["extra", "9"], User(1000, 5, (5, 2000, 9))),
        ("app", ["extra", "2000"], User(1000, 1001, (1001, 2000))),
        ("", ["0", "root"], User(0, 0, (0,))),
        ("4321", [], User(4321, 0, (0,))),
        ("7", [], User(70, 70, (70,))),
        ("odd", [], User(5, 0, (0,))),
    ],
)
def test_users(user: str, add: list[str], wanted: User) -> None:
    assert resolve(user, add, PASSWD, GROUP) == wanted


@pytest.mark.parametrize(("user", "add"), [("nobody", []), ("app:nogroup", []), ("app", ["nogroup"])])
def test_unknown_names(user: str, add: list[str]) -> None:
    with pytest.raises(EngineError, match=r"unable to find (user|group)"):
        resolve(user, add, PASSWD, GROUP)


@pytest.mark.parametrize(("user", "add"), [("-1", []), ("2147483648", []), ("99999999999", []), ("app:-1", []), ("", ["4294967296"])])
def test_numbers_out_of_range(user: str, add: list[str]) -> None:
    with pytest.raises(EngineError, match="uids and gids must be in range 0-2147483647"):
        resolve(user, add, PASSWD, GROUP)


def test_a_file_of_a_layered_root_never_comes_from_outside(tmp_path: Path) -> None:
    top, low = tmp_path / "top/etc", tmp_path / "low/etc"
    top.mkdir(parents=True)
    low.mkdir(parents=True)
    folders = [str(top.parent), str(low.parent)]
    assert read_root_file(folders, "etc/passwd") == b""
    (low / "passwd").write_text("low")
    assert read_root_file(folders, "etc/passwd") == b"low"
    (tmp_path / "secret").write_text("secret")
    (top / "passwd").symlink_to("../../secret")
    assert read_root_file(folders, "etc/passwd") != b"secret"
    (top / "passwd").unlink()
    (top / "passwd").symlink_to(tmp_path / "secret")
    assert read_root_file(folders, "etc/passwd") != b"secret"
