"""What a page of documentation tells its reader to paste, taken from the page itself, to be run by a test.

A block is fenced; its info string says what it is: ```nginx file=/etc/nginx/conf.d/voile.conf, or ```sh name=declare.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Block", "block", "blocks", "commands", "replaced"]

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "ingest"
_FENCED = re.compile(r"^( *)```([^\n`]+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_CONTINUED = re.compile(r"\\\n\s*")


@dataclass(frozen=True, slots=True)
class Block:
    """`language` and `said` are the info string: "nginx file=/etc/x" -> nginx, {"file": "/etc/x"}."""

    page: str
    language: str
    said: Mapping[str, str]
    text: str


def blocks(page: str) -> Sequence[Block]:
    """The fenced blocks of docs/ingest/`page`, in order; those without a language are for reading only."""
    found = _FENCED.findall((PAGES / page).read_text("utf-8"))
    return [_block(page, indent, *info.split(), text=text) for indent, info, text in found]


def block(page: str, language: str, **said: str) -> Block:
    """The one block of a page with this language and these words in its info string."""
    found = [b for b in blocks(page) if b.language == language and said.items() <= b.said.items()]
    assert len(found) == 1, f"{page} has {len(found)} blocks `{language}` with {said}"
    return found[0]


def replaced(block: Block, changes: Mapping[str, str]) -> str:
    """Its text with what differs on this machine: ports, paths, the key. What is to be replaced must be there, so
    that a page cannot drift away from its test."""
    missed = [old for old in changes if old not in block.text]
    assert not missed, f"{block.page}: no {missed} in the block"
    if not changes:
        return block.text
    pattern = "|".join(re.escape(old) for old in sorted(changes, key=len, reverse=True))
    return re.sub(pattern, lambda match: changes[match[0]], block.text)


def commands(text: str) -> Sequence[Sequence[str]]:
    """A block of shell: each command's words, without what is commented out."""
    lines = _CONTINUED.sub(" ", text).splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def _block(page: str, indent: str, language: str, *said: str, text: str) -> Block:
    plain = re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
    return Block(page, language, dict(word.split("=", 1) for word in said), plain)
