"""COPY on a plain folder: what sources mean, what makes a digest, where things land."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from compose_lite.build import files
from compose_lite.build.chmod import parse_chmod
from compose_lite.build.files import Missing, Tree
from compose_lite.build.writing import Look, Writer
from compose_lite.errors import BuildError
from compose_lite.ignore import parse_ignore


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for name in ("a.txt", "b.txt", ".c.txt", "d/one", "d/sub/two", "secret/key"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    (root / "ln").symlink_to("a.txt")
    (root / "out").symlink_to("/etc/passwd")
    return root


@pytest.fixture
def target(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    root = tmp_path / "dst"
    root.mkdir()
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    yield root, fd
    os.close(fd)


def names(tree: Tree, text: str) -> list[str]:
    return [top.name for top in files.select(tree, text)]


def test_wildcards_links_and_what_is_not_there(source: Path):
    tree = Tree(str(source))
    assert names(tree, "*.txt") == [".c.txt", "a.txt", "b.txt"] and names(tree, "[ab].t?t") == ["a.txt", "b.txt"]
    assert names(tree, "*.nope") == [] and names(tree, "*/sub") == ["sub"]
    assert files.select(tree, "ln")[0].path == str(source / "a.txt")
    for missing in ("nope", "out", "o*"):  # a link out of the tree ends in it
        with pytest.raises(Missing):
            files.select(tree, missing)
    assert names(tree, "../../a.txt") == ["a.txt"]


def test_ignored_files_are_not_there(source: Path):
    tree = Tree(str(source), parse_ignore("secret\n*.txt\n!b.txt"), anonymous=True)
    with pytest.raises(Missing):
        files.select(tree, "secret")
    [top] = files.select(tree, ".")
    assert [m.name for m in files.members(tree, top)] == ["b.txt", "d", "d/one", "d/sub", "d/sub/two", "ln", "out"]


def test_a_digest_is_of_content_and_mode_not_of_times(source: Path):
    tree = Tree(str(source), anonymous=True)

    def digest() -> str:
        return files.digest(tree, files.select(tree, "d"))

    first = digest()
    os.utime(source / "d/one", (1, 1))
    assert digest() == first
    (source / "d/one").chmod(0o600)
    changed = digest()
    (source / "d/sub/two").write_text("other")
    assert len({first, changed, digest()}) == 3


def test_files_and_folders_land_where_copy_puts_them(source: Path, target: tuple[Path, int]):
    tree, (root, fd) = Tree(str(source)), target
    writer = Writer(fd, Look((os.geteuid(), os.getegid())))
    (root / "here").mkdir()
    (root / "via").symlink_to("/here")
    for text, place in (
        ("a.txt", "/new/name"),
        ("a.txt", "/new/in/"),
        ("a.txt", "/here"),
        ("b.txt", "/via"),
        ("d", "/tree"),
        ("ln", "/real"),
    ):
        for top in files.select(tree, text):
            writer.put(tree, top, place)
    writer.put_text("EOF", "text", "/text")
    writer.close()
    found = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "via" not in p.parts}
    assert found == {"new/name", "new/in/a.txt", "here/a.txt", "here/b.txt", "tree/one", "tree/sub/two", "real", "text"}
    assert not (root / "real").is_symlink()


def test_times_modes_and_links_are_kept(source: Path, target: tuple[Path, int]):
    tree, (root, fd) = Tree(str(source)), target
    (source / "d/one").chmod(0o750)
    os.utime(source / "d/one", (10, 10))
    os.utime(source / "d/sub", (20, 20))
    os.link(source / "d/one", source / "d/same")
    writer = Writer(fd, Look((os.geteuid(), os.getegid())))
    writer.put(tree, files.select(tree, "d")[0], "/d")
    writer.close()
    assert (root / "d/one").stat().st_mtime == 10 and (root / "d/one").stat().st_mode & 0o777 == 0o750
    assert (root / "d/sub").stat().st_mtime == 20 and (root / "d/same").stat().st_ino == (root / "d/one").stat().st_ino


@pytest.mark.parametrize(("chmod", "mode"), [("", 0o755), ("640", 0o640), ("2777", 0o755), ("go-rwx", 0o755), ("u=rwX,go=", 0o755)])
def test_new_folders_are_parents_the_last_one_with_the_sources_time(source: Path, target: tuple[Path, int], chmod: str, mode: int):
    tree, (root, fd) = Tree(str(source)), target
    (source / "d").chmod(0o2700)
    os.utime(source / "d", (30, 30))
    (root / "there").mkdir(0o711)
    look = Look((os.geteuid(), os.getegid()), parse_chmod(chmod) if chmod else None)
    for place in ("new", "there", "deep/er"):
        Writer(fd, look).put(tree, files.select(tree, "d")[0], f"/{place}")
    Writer(fd, look).put(tree, files.select(tree, "d/one")[0], "/its/own/")
    Writer(fd, look).put_text("x", "x", "/a/text/")
    assert {oct((root / place).stat().st_mode & 0o7777) for place in ("deep", "deep/er", "its", "its/own", "a", "a/text")} == {oct(mode)}
    new, there = ((root / place).stat() for place in ("new", "there"))
    assert oct(new.st_mode & 0o7777) == oct(mode) and oct(there.st_mode & 0o7777) == oct(0o711)
    assert new.st_mtime == there.st_mtime == 30


def test_names_of_one_file_in_one_source_are_one_file(source: Path, target: tuple[Path, int]):
    tree, (root, fd) = Tree(str(source), anonymous=True), target
    os.link(source / "d/one", source / "d/same")
    writer = Writer(fd, Look((os.geteuid(), os.getegid())))
    for text, place in (("d", "/d"), ("d/one", "/e/"), ("d/same", "/e/")):
        writer.put(tree, files.select(tree, text)[0], place)
    writer.close()
    assert (root / "d/one").stat().st_nlink == 2 and (root / "e/one").stat().st_nlink == 1


def test_a_folder_is_not_put_on_a_file(source: Path, target: tuple[Path, int]):
    tree, (root, fd) = Tree(str(source)), target
    (root / "file").write_text("x")
    with pytest.raises(BuildError, match="cannot copy to non-directory: /file"):
        Writer(fd, Look()).put(tree, files.select(tree, "d")[0], "/file")


def test_excluded_files_stay_behind(source: Path, target: tuple[Path, int]):
    tree, (root, fd) = Tree(str(source)), target
    Writer(fd, Look((os.geteuid(), os.getegid()))).put(tree, files.select(tree, ".")[0], "/", parse_ignore("*.txt\nd/sub"))
    assert sorted(p.name for p in root.iterdir()) == ["d", "ln", "out", "secret"] and not (root / "d/sub").exists()


@pytest.mark.parametrize(
    ("text", "mode", "folder", "result"),
    [
        ("4755", 0o600, False, 0o4755),
        ("go=u,o-w", 0o600, False, 0o664),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("a+x", 0o600, False, 0o711),
        ("g+s,+t", 0o755, True, 0o3755),
        ("u=rwX,go=r", 0o2700, True, 0o744),
        ("u=rx", 0o7777, True, 0o3577),
        ("g=rx", 0o7777, True, 0o5757),
        ("o=rx", 0o7777, True, 0o7775),
        ("g=u", 0o7777, True, 0o7777),
    ],
)
def test_chmod(text: str, mode: int, folder: bool, result: int):
    assert oct(parse_chmod(text)(mode, folder)) == oct(result)


@pytest.mark.parametrize("text", ["", "9", "888", "77777777", "u~r", "rwx"])
def test_chmod_refused(text: str):
    with pytest.raises(BuildError, match="invalid chmod parameter"):
        parse_chmod(text)
