"""Whatever comes in from outside is taken, or refused in words; never is there another exception.

One strategy an input language, rich in the characters and words that mean something in it. The sample is small and the
same in every run; HYPOTHESIS_PROFILE=long searches (tests/conftest.py).
"""

from __future__ import annotations

import contextlib
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose_lite import ignore, reference, units
from compose_lite.api import http
from compose_lite.build.dockerfile import parse as dockerfile
from compose_lite.build.dockerfile import words
from compose_lite.cli import gotemplate
from compose_lite.errors import BuildError, Error, ImageError, SpecError
from compose_lite.image import tarstream
from compose_lite.network import publish
from compose_lite.project.configtext import ConfigWish, config_text
from compose_lite.project.containerspec import Instance, create_body
from compose_lite.spec import document, shortforms
from compose_lite.spec.load import LoadOptions, load
from compose_lite.spec.models import resources, service


def of(*pieces: str, most: int = 12) -> st.SearchStrategy[str]:
    """Texts out of the pieces, and a little of anything."""
    return st.lists(st.one_of(st.sampled_from(pieces), st.text(max_size=3)), max_size=most).map("".join)


YAML = of(
    "services:",
    "\n",
    " ",
    "  ",
    "- ",
    "a",
    "b: ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "&x ",
    "*x",
    "<<: ",
    "!reset ",
    "!override ",
    "|",
    '"',
    "'",
    "#",
    "\t",
)
PORT = of("80", ":", "-", "/", "tcp", "udp", "127.0.0.1", "[::1]", "${A}", "65536", "0", "8000-8010")
VOLUME = of("/", ":", "a", "./b", "~", "ro", "rw", ",", "C:\\", "z", "nocopy", "..", "rshared")
TEMPLATE = of(
    "{{", "}}", ".", "Name", " ", "|", "json", "printf", '"%s"', "(", ")", "if ", "else", "end", "range ", "$x", ":=", "-", "1", "index "
)
DOCKERFILE = of(
    *(
        "FROM a",
        " AS b",
        "\n",
        "RUN ",
        "COPY ",
        "--from=b ",
        "--mount=type=",
        "bind,",
        "ENV A=",
        "$A",
        "${A:-b}",
        "\\\n",
        '["a", "b"]',
        "<<E",
        "E\n",
    ),
    *(
        "#",
        "# escape=`\n",
        "ARG ",
        "HEALTHCHECK ",
        "CMD ",
        "NONE",
        "--interval=1s ",
        "ONBUILD ",
        "EXPOSE ",
        "80/tcp",
        "'",
        '"',
        "LABEL ",
        "x",
        "=",
    ),
    most=25,
)
REFERENCE = of("a", "/", ":", "@", "sha256:", "0" * 64, "docker.io", "localhost:5000", "-", "_", ".", "A")
CASES: dict[str, tuple[Callable[[str], Any], st.SearchStrategy[str], tuple[type[Exception], ...]]] = {
    "yaml": (lambda text: document.parse("f", text.encode("utf-8", "surrogatepass")), YAML, (SpecError,)),
    "ports": (shortforms.parse_ports, PORT, (ValueError,)),
    "volume": (shortforms.parse_volume, VOLUME, (ValueError,)),
    "template": (lambda text: gotemplate.compile(text), TEMPLATE, (Error, gotemplate.TemplateError)),
    "dockerfile": (lambda text: dockerfile.parse(text.encode("utf-8", "surrogatepass")), DOCKERFILE, (BuildError,)),
    "words": (
        lambda text: words.expand(text, {"A": "b"}),
        of("$", "{", "}", "A", ":", "-", "+", "?", "#", "%", "/", "\\", "'", '"', " "),
        (BuildError,),
    ),
    "reference": (reference.parse, REFERENCE, (ImageError,)),
    "ignore": (
        lambda text: ignore.ignored("a/b", ignore.parse_ignore(text)),
        of("*", "**", "?", "[", "]", "!", "/", "\\", "a", "-", "^", "\n"),
        (Error,),
    ),
    "duration": (units.parse_duration, of("1", "h", "m", "s", "ms", ".", "-", "+"), (ValueError,)),
    "size": (units.parse_size, of("1", "k", "m", "gb", ".", "-", " ", "b", "i"), (ValueError,)),
    "time": (units.parse_rfc3339, of("2024-01-02", "T", "03:04:05", ".1", "Z", "+02:00"), (ValueError,)),
    "request": (
        lambda text: http.parse_request(text.encode("latin-1", "replace")),
        of(
            "GET ",
            "/",
            "?a=b&c",
            "%",
            "zz",
            " HTTP/1.1",
            "\r\n",
            "Host: x",
            "Content-Length: ",
            "1",
            "Transfer-Encoding: chunked",
            ":",
            "\x00",
        ),
        (http.HttpError,),
    ),
    "response": (
        lambda text: http.parse_response(text.encode("latin-1", "replace")),
        of("HTTP/1.1 ", "200", " OK", "\r\n", "Content-Length: ", "-1", ":", "\x00"),
        (http.HttpError,),
    ),
    "target": (http.split_target, of("/", "?", "&", "=", "%", "41", "zz", "+", "a"), ()),
}


@pytest.mark.parametrize("language", CASES)
def test_any_text_is_read_or_refused(language: str) -> None:
    read, texts, refusals = CASES[language]

    @given(texts)
    def check(text: str) -> None:
        with contextlib.suppress(*refusals):
            read(text)

    check()


@given(REFERENCE)
def test_a_reference_reads_back(text: str) -> None:
    with contextlib.suppress(ImageError):
        found = reference.parse(text)
        assert reference.parse(str(found)) == found and reference.parse(found.familiar) == found


@given(st.dictionaries(PORT, st.none() | st.lists(st.fixed_dictionaries({"HostIp": PORT, "HostPort": PORT}), max_size=2), max_size=2))
def test_any_port_bindings(bindings: dict[str, Any]) -> None:
    with contextlib.suppress(Error):
        publish.parse_bindings(bindings, ipv6=True)


@given(st.data())
def test_a_damaged_tar(data: st.DataObject) -> None:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=data.draw(st.sampled_from([tarfile.PAX_FORMAT, tarfile.GNU_FORMAT]))) as tar:
        for name in ("a", "b" * 150, "é"):
            entry = tarfile.TarInfo(name)
            entry.size = 3
            tar.addfile(entry, io.BytesIO(b"xyz"))
    content = bytearray(raw.getvalue())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ImageError):
        for _, body in tarstream.entries(io.BytesIO(bytes(content[: data.draw(st.integers(0, len(content)))]))):
            body.all()


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.floats(-1, 4, allow_nan=False),
    st.sampled_from(["", "a", "1", "1s", "64m", "true", "host"]),
    st.sampled_from(
        ["a:b", "a=b", "80:90", "8080-8090:80", "./x:/y:ro", "service:b", "container:x", "/", "${X:-y}", "$$", "service_healthy", "CMD"]
    ),
)
KEYS = sorted(
    {name for model in vars(service).values() if hasattr(model, "model_fields") for name in model.model_fields}
    | {"x-a", "a", "b", "default"}
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3), max_leaves=6
)
SERVICE = st.dictionaries(st.sampled_from(sorted(service.Service.model_fields)), VALUES, max_size=4)
TOP = st.fixed_dictionaries(
    {"services": st.fixed_dictionaries({"a": SERVICE.map(lambda s: {"image": "x", **s})}, optional={"b": SERVICE})},
    optional={
        "networks": st.dictionaries(
            st.sampled_from(["default", "a"]),
            st.none() | st.dictionaries(st.sampled_from(sorted(resources.Network.model_fields)), VALUES, max_size=3),
            max_size=2,
        ),
        "volumes": st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.none() | st.dictionaries(st.sampled_from(sorted(resources.Volume.model_fields)), VALUES, max_size=2),
            max_size=2,
        ),
        "secrets": st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.dictionaries(st.sampled_from(sorted(resources.FileObject.model_fields)), VALUES, max_size=2),
            max_size=2,
        ),
    },
)


@given(TOP)
def test_any_compose_file_is_loaded_or_refused_with_a_place(top: dict[str, Any]) -> None:
    options = LoadOptions({"X": "1"}, "/nonexistent-folder", files=("-",), project_name="p", stdin=lambda: json.dumps(top))
    try:
        project = load(options).project
    except Error as error:
        assert "\n" not in error.says.strip() and error.status
        return
    config_text(options, ConfigWish())
    for one in project.services.values():
        with contextlib.suppress(Error):
            create_body(Instance(project, one, 1, "p-a-1"))
