"""Names for containers that got none: an adjective and an animal. Random, never twice in one engine (containers.py looks)."""

from __future__ import annotations

import secrets

_FIRST = (
    "amber brave calm clever crisp eager early fair fleet gentle glad grand happy keen kind light lively lucky merry mild "
    "neat noble plain proud quick quiet rapid ready sharp shy silver smart snug solid steady sunny swift tidy warm wise witty "
)
_SECOND = (
    "badger bear beaver bee bison crane crow deer dove eagle falcon finch fox frog gecko goose hare hawk heron ibex jay koala "
    "lark lemur lion lynx marten mole moose newt otter owl panda puffin quail raven robin seal shrew sparrow stork swan tern "
    "tiger toad trout vole whale wolf wren "
)


def random_name() -> str:
    """`swift_otter_3f`"""
    return f"{secrets.choice(_FIRST.split())}_{secrets.choice(_SECOND.split())}_{secrets.token_hex(1)}"
