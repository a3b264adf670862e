#!/usr/bin/env python3
"""Checks the documentation: links, code blocks, and that the book is complete.

    python3 scripts/docs/check.py

Every relative link and its anchor is there; every chapter is in docs/src/SUMMARY.md; every block of code names its
language, and TOML, JSON and Python among them parse; scripts that shell blocks run are there; what a chapter includes
is there; the chapter of config keys is up to date. crates/cli/tests/readme.rs has the real program parse the commands.
Prints what is wrong, a line each, and exits 1 if anything is. Needs Python 3.11 and nothing else.
"""

import json
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import config_keys

ROOT = Path(__file__).resolve().parents[2]
BOOK = ROOT / "docs/src"
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "checkpoints/README.md", "datasets/README.md", "scripts/README.md"]

FENCE = re.compile(r"\s*```(.*)")
CODE = re.compile(r"(`+)[^`]+\1")
LINK = re.compile(r"!?\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^()\s]+)\)")
HEADING = re.compile(r"#{1,6} (.+?)(?: #+)?")
INCLUDE = re.compile(r"\{\{#include ([^\s:}]+)(?::(\w+))?\}\}")
ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:")
SCRIPT = re.compile(r"(?<!\S)scripts/[\w./-]+")


class Block(NamedTuple):
    """A fenced block of code: the line of its fence, from 1, its language and its text."""

    line: int
    language: str
    text: str


class Document(NamedTuple):
    """A Markdown file, taken apart."""

    path: Path
    prose: list[tuple[int, str]]
    blocks: list[Block]
    closed: bool

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


def read(path: Path) -> Document:
    prose: list[tuple[int, str]] = []
    blocks: list[Block] = []
    begun, language, inside = 0, "", []
    indents = True
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if fence and not begun:
            begun, language, inside = number, fence[1].strip(), []
        elif fence:
            blocks.append(Block(begun, language, "\n".join(inside)))
            begun = 0
        elif begun:
            inside.append(line)
        elif not (indents and line.startswith("    ")):
            prose.append((number, line))
            # Four blanks begin code behind an empty line, and go on with a list elsewhere.
            indents = not line.strip()
    return Document(path, prose, blocks, begun == 0)


def anchors(document: Document) -> set[str]:
    """Anchors of the headings, as GitHub and mdBook make them."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for _, line in document.prose:
        if heading := HEADING.fullmatch(line):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1])
            slug = "".join(c for c in text.lower() if c.isalnum() or c in " -_").strip().replace(" ", "-")
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def links(document: Document) -> Iterator[tuple[int, str]]:
    # A link may be broken over two lines, and so may code, in which nothing is a link.
    text = "\n".join(line for _, line in document.prose)
    text = CODE.sub(lambda code: "code" + "\n" * code[0].count("\n"), text)
    numbers = [number for number, _ in document.prose]
    for match in LINK.finditer(text):
        yield numbers[text.count("\n", 0, match.start())], match[1]


def check_links(document: Document, known: dict[Path, Document]) -> Iterator[str]:
    for line, link in links(document):
        place = f"{document.name}:{line}"
        if ELSEWHERE.match(link):
            continue
        target, _, anchor = link.partition("#")
        path = (document.path.parent / target).resolve() if target else document.path
        if not path.exists():
            yield f"{place}: {link}: no such file"
            continue
        if document.path.parent == BOOK and path.suffix == ".md" and path.parent != BOOK:
            yield f"{place}: {link}: the built book would call it .html; name its folder"
        if anchor and path.suffix == ".md":
            there = anchors(known.get(path) or read(path))
            if anchor not in there:
                yield f"{place}: {link}: no such heading; there are {', '.join(sorted(there))}"


def check_blocks(document: Document) -> Iterator[str]:
    if not document.closed:
        yield f"{document.name}: the last block of code is not closed"
    for block in document.blocks:
        place = f"{document.name}:{block.line}"
        try:
            match block.language:
                case "":
                    yield f"{place}: a block of code without a language; `text` is one"
                case "toml":
                    tomllib.loads(block.text)
                case "json":
                    for row in block.text.splitlines():
                        json.loads(row)
                case "python":
                    compile(block.text, place, "exec")
                case "sh":
                    for script in SCRIPT.findall(block.text):
                        if not (ROOT / script).is_file():
                            yield f"{place}: {script}: no such script"
        except (ValueError, SyntaxError) as error:
            yield f"{place}: not {block.language}: {error}"


def check_includes(document: Document) -> Iterator[str]:
    for line, text in document.prose:
        for match in INCLUDE.finditer(text):
            path, anchor = document.path.parent / match[1], match[2]
            there = path.read_text(encoding="utf-8") if path.is_file() else ""
            for mark in ["ANCHOR", "ANCHOR_END"] if anchor else []:
                if not re.search(rf"\b{mark}: {anchor}\b", there):
                    yield f"{document.name}:{line}: {match[1]} has no {mark}: {anchor}"
            if not path.is_file():
                yield f"{document.name}:{line}: {match[1]}: no such file"


def check_summary(summary: Document) -> Iterator[str]:
    named = Counter(link for _, link in links(summary))
    for name, times in named.items():
        if times > 1:
            yield f"{summary.name}: {name} is there {times} times"
    for path in sorted(BOOK.rglob("*.md")):
        name = str(path.relative_to(BOOK))
        if path != summary.path and name not in named:
            yield f"{summary.name}: the chapter {name} is missing"


def problems() -> Iterator[str]:
    paths = [ROOT / name for name in DOCUMENTS] + sorted((ROOT / "docs").rglob("*.md"))
    known = {path: read(path) for path in paths if ROOT / "docs/book" not in path.parents}
    for document in known.values():
        yield from check_links(document, known)
        yield from check_blocks(document)
        yield from check_includes(document)
    yield from check_summary(known[BOOK / "SUMMARY.md"])
    if config_keys.is_stale():
        yield f"{config_keys.PAGE.relative_to(ROOT)}: out of date; python3 scripts/docs/config_keys.py writes it"


def main() -> None:
    found = list(problems())
    print("\n".join(found) or "documentation: nothing wrong")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
