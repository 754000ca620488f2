"""What .dockerignore leaves, and what wildcards of a source select."""

from pathlib import Path

import pytest

from compose_lite.build import context


def left(tmp_path: Path, ignore: str, *files: str) -> list[str]:
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("")
    return [path for path, entry in context.walk(tmp_path, context.parse_ignore(ignore)) if entry.is_file()]


@pytest.mark.parametrize(
    ("ignore", "files", "wanted"),
    [
        ("a\n*.log\nsub/*.tmp\nx?\n", "a b c.log sub/a sub/c.log sub/d.tmp sub/deep/e.tmp x1 x22", "b sub/a sub/c.log sub/deep/e.tmp x22"),
        ("**/*.log\nsub/**/t\n**/cache\n", "a.log s/b.log s/t/c.log sub/t sub/a/b/t cache/x y/cache/z keep", "keep"),
        ("/one\ntwo/\n./three\nfour/../five\n", "one/a two/b three/c five/d sub/one/a", "sub/one/a"),
        ("# a\n\n   b  \n\\#c\n", "a b #c d", "a d"),
        (
            "*.md\n!README*.md\nREADME-s.md\ndocs\n!docs/keep.txt\n",
            "a.md README.md README-s.md docs/a docs/keep.txt",
            "README.md docs/keep.txt",
        ),
        ("*\n!src\nsrc/**/*.o\n!**/need.o\n", "a src/b.c src/x/b.o src/x/need.o other/c", "src/b.c src/x/need.o"),
        ("f[a-c]\ng[^a-c]\nh\\*\n", "fa fd ga gd h* hx", "fd ga hx"),
    ],
)
def test_ignore(tmp_path: Path, ignore: str, files: str, wanted: str):
    assert left(tmp_path, ignore, *files.split()) == wanted.split()


def test_select():
    paths = [".c.txt", "a1.txt", "b", "sub", "sub/e.txt"]
    assert context.select("*.txt", paths) == [".c.txt", "a1.txt"]
    assert context.select("*/e.txt", paths) == ["sub/e.txt"] and context.select("../[ab]*", paths) == ["a1.txt", "b"]
