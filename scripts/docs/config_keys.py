#!/usr/bin/env python3
"""Writes the chapter "Every config key", docs/src/keys.md, from the comments of the configs.

    python3 scripts/docs/config_keys.py

configs/lama.toml documents every key of `ptune train`, configs/adapt-bert.toml the section [text] of `ptune adapt`;
crates/trainer/tests/settings_documented.rs holds both to the program, and scripts/docs/check.py the chapter to them.
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/src/keys.md"

HEAD = """<!-- Written by scripts/docs/config_keys.py from the comments of the configs: change those, then run it. -->

# Every config key

Any of them can be given on the command line, where it wins: `--set train.lr=3e-4`. A misspelt key is refused
with the nearest name. A relative path in a config is looked for from the folder of the config, then from each
folder above it, then from the current directory; a path given by `--set`, from the current directory first.
*Here* and *this file* are the config that is named below each key.
"""

SECTION = re.compile(r"(?:# )?\[([a-z_]+)\]")
KEY = re.compile(r"(# )?([a-z_]+) = (.+)")
# What a comment quotes is set as code: it holds brackets and quotes that Markdown would read.
QUOTED = re.compile(r'`[^`]*`|\[\{.*?\}, …\]|\["[^\]]*\]|"[^"]*"|\[[a-z][^\]\s]*\]')


class Key(NamedTuple):
    """A key as its config documents it."""

    name: str
    comment: list[str]
    line: str
    given: bool


class Section(NamedTuple):
    """Keys under one heading, "" for those in front of the first."""

    name: str
    comment: list[str]
    keys: list[Key]


def sections(text: str) -> list[Section]:
    """Reads a config as settings_documented.rs does: a key stands below the comment that documents it."""
    found = [Section("", [], [])]
    comment: list[str] = []
    for line in text.splitlines():
        if heading := SECTION.fullmatch(line):
            found.append(Section(heading[1], comment, []))
            comment = []
        elif key := KEY.fullmatch(line):
            found[-1].keys.append(Key(key[2], comment, f"{key[2]} = {key[3]}", key[1] is None))
            comment = []
        elif line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        else:
            comment = []
    return found


def prose(lines: list[str]) -> str:
    """Comment lines as Markdown, a line each."""

    def code(match: re.Match[str]) -> str:
        return match[0] if match[0].startswith("`") else f"`{match[0]}`"

    # What is quoted may be broken over two lines.
    return QUOTED.sub(code, "\n".join(lines))


def entry(section: str, key: Key, config: str) -> str:
    ends = [i for i, line in enumerate(key.comment) if line.startswith(("Default:", "Required"))]
    if not ends:
        sys.exit(f"{config}: {key.name} says neither its default nor that it is required")
    says, default = key.comment[: ends[0]], key.comment[ends[0] :]
    name = f"{section}.{key.name}" if section else key.name
    shown = f"`{config}` has" if key.given else "For example"
    return f"### `{name}`\n\n{prose(says)}\n\n{prose(default)}\n\n{shown} `{key.line}`.\n"


def page() -> str:
    parts = [HEAD]
    for config, only in [("configs/lama.toml", None), ("configs/adapt-bert.toml", "text")]:
        for section in sections((ROOT / config).read_text(encoding="utf-8")):
            if only and section.name != only:
                continue
            heading = f"[{section.name}]" if section.name else "At the top"
            parts.append(f"## {f'`{heading}`' if section.name else heading}\n")
            if only:
                parts.append("For `ptune adapt`, which has this section in place of data, template and verbalizer.\n")
            if section.comment:
                parts.append(prose(section.comment) + "\n")
            parts.extend(entry(section.name, key, config) for key in section.keys)
    return "\n".join(parts)


def is_stale() -> bool:
    """Whether the chapter is not what the configs say."""
    return not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
