"""Layers: what tarfile writes we unpack alike; what we pack tarfile reads; nothing leaves the target."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest

from compose_lite.errors import ImageError
from compose_lite.image import layers, tarstream


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for info, content in members:
            info.size = len(content)
            info.uid, info.gid = os.geteuid(), os.getegid()
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.mtime = kind, link, mode, 1_000_000_000
    return info, content


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_unpacks_what_tarfile_writes(tmp_path: Path, form: int):
    long = "/".join(["x" * 40] * 5) if form != tarfile.USTAR_FORMAT else "x/" * 60 + "y"
    unpacked = layers.unpack(
        tar(
            member("./d/", kind=tarfile.DIRTYPE, mode=0o1750),
            member("./d/f", b"hello", mode=0o4711),
            member("d/ü", b"1"),
            member("l", kind=tarfile.SYMTYPE, link="/d/f"),
            member("h", kind=tarfile.LNKTYPE, link="./d/f"),
            member("p", kind=tarfile.FIFOTYPE, mode=0o600),
            member(long, b"deep"),
            form=form,
        ),
        tmp_path,
    )
    assert unpacked.size == 10
    status = (tmp_path / "d/f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime, status.st_nlink) == (0o4711, 1_000_000_000, 2)
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o1750 and (tmp_path / "d").stat().st_mtime == 1_000_000_000
    assert (tmp_path / "l").readlink() == Path("/d/f") and stat.S_ISFIFO((tmp_path / "p").stat().st_mode)
    assert (tmp_path / long).read_text() == "deep" and (tmp_path / "d/ü").exists()


def test_pack_is_read_by_tarfile_and_is_repeatable(tmp_path: Path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d/f").write_bytes(b"x" * 3_000_000)
    os.link(tmp_path / "d/f", tmp_path / "again")
    (tmp_path / ("n" * 180)).write_text("long")
    (tmp_path / "link").symlink_to("ü" * 60)
    out = io.BytesIO()
    packed = layers.pack(tmp_path, out.write)
    assert packed == layers.pack(tmp_path) and packed.size == len(out.getvalue())
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        assert archive.getnames() == ["again", "d", "d/f", "link", "n" * 180]
        assert archive.getmember("d/f").islnk() and archive.getmember("link").linkname == "ü" * 60
        assert len(archive.extractfile("again").read()) == 3_000_000


@pytest.mark.root
def test_whiteouts_go_there_and_back(tmp_path: Path):
    layers.unpack(
        tar(
            member("d/", kind=tarfile.DIRTYPE), member("d/.wh..wh..opq"), member("d/new", b"x"), member(".wh.gone"), member(".wh..wh.plnk")
        ),
        tmp_path,
    )
    gone = os.lstat(tmp_path / "gone")
    assert stat.S_ISCHR(gone.st_mode) and gone.st_rdev == 0
    assert os.getxattr(tmp_path / "d", layers.opaque_attribute()) == b"y"
    assert [entry.name for entry, _ in layers.walk(tmp_path)] == ["d/", "d/.wh..wh..opq", "d/new", ".wh.gone"]


def test_whiteout_and_member_of_one_name(tmp_path: Path):
    layers.unpack(tar(member(".wh.a"), member("a/", kind=tarfile.DIRTYPE), member("b", b"1"), member(".wh.b")), tmp_path)
    assert os.getxattr(tmp_path / "a", layers.opaque_attribute()) == b"y" and (tmp_path / "b").read_text() == "1"


def test_later_members_replace_earlier_ones(tmp_path: Path):
    layers.unpack(
        tar(
            member("a/x", b"1"), member("a", b"file"), member("b", b"1"), member("b/y", b"2"),
            member("c", kind=tarfile.SYMTYPE, link="a"), member("c", b"own"),
        ),
        tmp_path,
    )  # fmt: skip
    assert (tmp_path / "a").read_text() == "file" and (tmp_path / "b/y").read_text() == "2"
    assert (tmp_path / "c").read_text() == "own" and not (tmp_path / "c").is_symlink()


@pytest.mark.root
def test_members_behind_links_stay_inside(tmp_path: Path):
    target = tmp_path / "root"
    target.mkdir()
    layers.unpack(
        tar(
            member("usr/bin/", kind=tarfile.DIRTYPE),
            member("bin", kind=tarfile.SYMTYPE, link="usr/bin"),
            member("bin/sh", b"sh"),
            member("out", kind=tarfile.SYMTYPE, link="/../../.."),
            member("out/escaped", b"x"),
            member("up", kind=tarfile.SYMTYPE, link="../../../tmp"),
            member("up/too", b"x"),
        ),
        target,
    )
    assert (target / "usr/bin/sh").read_text() == "sh"
    assert (target / "escaped").exists() and (target / "tmp/too").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"root"}


@pytest.mark.parametrize(
    "bad",
    [
        member("../x", b"1"),
        member("a/../../x", b"1"),
        member("h", kind=tarfile.LNKTYPE, link="../../etc/passwd"),
        member("h", kind=tarfile.LNKTYPE, link="missing"),
        member(".wh..."),
    ],
)
def test_hostile_members_are_refused(tmp_path: Path, bad):
    target = tmp_path / "root"
    target.mkdir()
    with pytest.raises(ImageError):
        layers.unpack(tar(bad), target)
    assert {path.name for path in tmp_path.iterdir()} == {"root"}


def test_hard_link_through_a_link_stays_inside(tmp_path: Path):
    target = tmp_path / "root"
    target.mkdir()
    (tmp_path / "secret").write_text("s")
    with pytest.raises(ImageError):
        layers.unpack(tar(member("up", kind=tarfile.SYMTYPE, link=".."), member("h", kind=tarfile.LNKTYPE, link="up/secret")), target)


def test_overlay_attributes_of_an_archive_are_dropped(tmp_path: Path):
    info, content = member("d/", kind=tarfile.DIRTYPE)
    info.pax_headers = {"SCHILY.xattr." + layers.opaque_attribute(): "y", "SCHILY.xattr.user.kept": "v"}
    layers.unpack(tar((info, content)), tmp_path)
    assert layers.opaque_attribute() not in os.listxattr(tmp_path / "d")


def test_truncated_archive(tmp_path: Path):
    whole = tar(member("f", b"x" * 5000)).getvalue()
    for cut in (100, 600, 3000):
        with pytest.raises(ImageError, match="ends within"):
            layers.unpack(io.BytesIO(whole[:cut]), tmp_path)


def test_sparse_1_0(tmp_path: Path):
    data = b"2\n0\n3\n1000\n3\n".ljust(512, b"\0") + b"abcxyz"
    info = tarfile.TarInfo("GNUSparseFile.0/s")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "s", "GNU.sparse.realsize": "2000"}
    layers.unpack(tar((info, data)), tmp_path)
    content = (tmp_path / "s").read_bytes()
    assert len(content) == 2000 and content[:3] == b"abc" and content[1000:1003] == b"xyz" and not content[3:1000].strip(b"\0")


def test_headers_of_extreme_entries():
    entry = tarstream.Entry("n" * 300, uid=3_000_000_000, size=1 << 35, mtime_ns=-5 * 10**9, xattrs={"user.a": b"\0\1\n"})
    (read, _), *_ = tarstream.entries(io.BytesIO(tarstream.header(entry)))
    assert (read.name, read.uid, read.size, read.mtime_ns, read.xattrs) == (entry.name, entry.uid, entry.size, entry.mtime_ns, entry.xattrs)
