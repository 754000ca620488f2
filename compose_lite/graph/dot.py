"""A picture as Graphviz DOT and as Mermaid. Pure; both leave the layout to whoever draws it.

DOT: https://graphviz.org/doc/info/lang.html. Mermaid: https://mermaid.js.org/syntax/flowchart.html; its node ids are
numbered, since words such as `end` cannot be ids.
"""

from __future__ import annotations

from compose_lite.graph.picture import Box, Picture


def dot(picture: Picture) -> str:
    lines = [f"digraph {_quoted(picture.title)} {{", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for box in picture.boxes.values():
        lines.append(f"  {_quoted(box.name)} [label={_quoted(chr(10).join(_label(box)))}];")
    lines += [f"  {_quoted('volume ' + v)} [label={_quoted(v)}, shape=cylinder, style=solid];" for v in picture.volumes]
    lines += [f"  {_quoted('network ' + n)} [label={_quoted(n)}, shape=ellipse, style=dashed];" for n in picture.networks]
    for arrow in picture.arrows:
        traits = [f"label={_quoted(arrow.label)}"] if arrow.label else []
        traits += ["style=dashed"] if arrow.optional else []
        lines.append(f"  {_quoted(arrow.source)} -> {_quoted(arrow.target)}{' [' + ', '.join(traits) + ']' if traits else ''};")
    for box in picture.boxes.values():
        lines += [f"  {_quoted(box.name)} -> {_quoted('volume ' + v)} [dir=none, color=gray];" for v in box.volumes]
        lines += [f"  {_quoted(box.name)} -> {_quoted('network ' + n)} [dir=none, style=dotted, color=gray];" for n in box.networks]
    return "\n".join([*lines, "}", ""])


def mermaid(picture: Picture) -> str:
    ids = {name: f"s{index}" for index, name in enumerate(picture.boxes)}
    volumes = {name: f"v{index}" for index, name in enumerate(picture.volumes)}
    networks = {name: f"n{index}" for index, name in enumerate(picture.networks)}
    lines = ["flowchart LR"]
    lines += [f'  {ids[box.name]}["{"<br/>".join(map(_entity, _label(box)))}"]' for box in picture.boxes.values()]
    lines += [f'  {volumes[name]}[("{_entity(name)}")]' for name in volumes]
    lines += [f'  {networks[name]}(["{_entity(name)}"])' for name in networks]
    for arrow in picture.arrows:
        line = "-.->" if arrow.optional else "-->"
        label = f'|"{_entity(arrow.label)}"|' if arrow.label else ""
        lines.append(f"  {ids[arrow.source]} {line}{label} {ids[arrow.target]}")
    for box in picture.boxes.values():
        lines += [f"  {ids[box.name]} --- {volumes[v]}" for v in box.volumes]
        lines += [f"  {ids[box.name]} -.- {networks[n]}" for n in box.networks]
    return "\n".join([*lines, ""])


def _label(box: Box) -> list[str]:
    return [box.name + (f" ×{box.replicas}" if box.replicas != 1 else ""), *box.ports]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _entity(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")
