"""Tables, JSON lines and templates of `--format`."""

from typing import Any

import pytest

from compose_lite.cli import gotemplate, tables
from compose_lite.errors import UsageError

DOCUMENT: dict[str, Any] = {
    "Id": "sha256:1",
    "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "x", "c": "y"}},
    "State": {"Status": "running", "Running": True, "ExitCode": 0},
    "Mounts": [{"Source": "/s", "Destination": "/d"}],
    "Ports": {"80/tcp": [{"HostPort": "8080"}], "81/tcp": None},
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{.Id}}", "sha256:1"),
        ("{{ .State.Status }}!", "running!"),
        ("{{json .Config.Env}}", '["A=1","B=2"]'),
        ("{{.Config.Env}} {{.Config.Labels}}", "[A=1 B=2] map[a.b:x c:y]"),
        ('{{index .Config.Labels "a.b"}}{{index .Config.Labels "none"}}', "x"),
        ('{{(index (index .Ports "80/tcp") 0).HostPort}}', "8080"),
        ("{{range .Config.Env}}{{.}};{{end}}", "A=1;B=2;"),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}", "a.b=x c=y "),
        (
            "{{range $p, $conf := .Ports}}{{$p}} -> {{if $conf}}{{(index $conf 0).HostPort}}{{else}}-{{end}};{{end}}",
            "80/tcp -> 8080;81/tcp -> -;",
        ),
        ("{{range .Mounts}}{{.Source}}:{{.Destination}}{{else}}none{{end}}", "/s:/d"),
        ("{{if .State.Health}}{{.State.Health.Status}}{{else if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ("{{if and .State.Running (eq .State.ExitCode 0)}}ok{{end}}", "ok"),
        ('{{.State.Status | upper | printf "%-10s|"}}', "RUNNING   |"),
        ("{{$x := .Id}}{{$x}} {{len .Mounts}} {{- /* note */ -}}  .", "sha256:1 1."),
        ('{{join .Config.Env ","}}', "A=1,B=2"),
        ("{{.State.Running}} {{not .State.Running}}", "true false"),
    ],
)
def test_template(template: str, text: str) -> None:
    assert gotemplate.compile(template).render(DOCUMENT) == text


@pytest.mark.parametrize(
    "template", ["{{.Id", "{{if .Id}}", "{{end}}", "{{}}", "{{nope .}}", "{{.Nope}}", "{{.State.Nope.Deep}}", "{{.Id.Deep}}", "{{$x}}"]
)
def test_bad_template(template: str) -> None:
    with pytest.raises(UsageError, match="template"):
        gotemplate.compile(template).render(DOCUMENT)


HEADERS = {"Name": "NAME", "Ports": "PORTS", "ID": "NETWORK ID"}
ROWS = [
    {"Name": "a", "Ports": "80->80/tcp", "ID": "1" * 12, "Label": {"x": "1"}.get},
    {"Name": "longer-name", "Ports": "", "ID": "2", "Label": {}.get},
]


def test_default_table() -> None:
    assert tables.listing(ROWS, HEADERS, ("Name", "ID")) == "NAME          NETWORK ID\na             111111111111\nlonger-name   2\n"


def test_json_lines_escape_as_go_does() -> None:
    assert tables.listing(ROWS[:1], HEADERS, ("Name",), "json") == '{"ID":"111111111111","Name":"a","Ports":"80-\\u003e80/tcp"}\n'


def test_templates_of_rows() -> None:
    assert tables.listing(ROWS[:1], HEADERS, (), "{{json .}} {{json .Ports}}") == (
        '{"ID":"111111111111","Name":"a","Ports":"80-\\u003e80/tcp"} "80->80/tcp"\n'
    )
    assert tables.listing(ROWS, HEADERS, (), "{{.Name}}") == "a\nlonger-name\n"
    assert tables.listing(ROWS[:1], HEADERS, (), 'table {{.Name}}\\t{{.Label "x"}}') == "NAME      x\na         1\n"
    assert tables.listing(ROWS, HEADERS, ("Name",), quiet="ID") == "111111111111\n2\n"
    assert tables.listing([], HEADERS, ("Name", "Ports")) == "NAME      PORTS\n"


def test_inspected() -> None:
    assert tables.inspected([]) == "[]\n"
    assert tables.inspected([{"A": {}}]) == '[\n    {\n        "A": {}\n    }\n]\n'
    assert tables.inspected([{"A": 1}, {"A": 2}], "{{.A}}") == "1\n2\n"


def test_filters() -> None:
    assert tables.filters(("label=a=b", "label=c", "Name=x")) == {"label": ["a=b", "c"], "name": ["x"]}
    with pytest.raises(UsageError):
        tables.filters(("nope",))


def test_a_field_that_is_not_there_is_said_as_go_does() -> None:
    with pytest.raises(UsageError) as caught:
        tables.inspected([{"Name": "x"}], "{{.Name}} {{.Bogus}}")
    says = 'template parsing error: template: :1:12: executing "" at <.Bogus>: map has no entry for key "Bogus"'
    assert caught.value.says == says
