"""Writes docs/configuration.md, each setting for people, from what Settings declares and what
.env.example explains: `make settings`.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from pathlib import Path
from typing import Any

from portal_service import Settings

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = ROOT / ".env.example"
PAGE = ROOT / "docs" / "configuration.md"

HEAD = """\
# Configuration

Every variable that the service reads: what it means, what it is where it is not set, which values
it takes. Made from [config.py](../portal_service/config.py) and [.env.example](../.env.example) by
`make settings`. To begin, copy `.env.example` to `.env`.

- Real environment variables win over `.env` in the current folder. An empty one counts as not set.
- They are read when a process starts. To change one, change the environment and replace the
  replicas one after the other; SIGHUP is not enough.
- Whatever is none of the values below stops the start, with one message that names every wrong
  variable and never shows a secret. `portal-service check --offline` says the same, and starts
  nothing.
- Docker takes an env file literally: no quotes around values, no comment behind them.

`STRIPE_OPERATOR_KEY` is for [commands](commands.md) alone, and never the service's:
[security.md](security.md#an-operators-stripe-key).
"""


@dataclass(frozen=True)
class Entry:
    """What .env.example has of one variable; value: what is assigned there."""

    group: str
    name: str
    value: str
    about: str


def entries(text: str) -> Iterator[Entry]:
    """In the file's order. Raises ValueError where a variable has no comment of its own."""
    group, comment = "", []
    for line in text.splitlines():
        if title := re.match(r"# --- (.+?) -+$", line):
            group, comment = title[1], []
        elif assigned := re.match(r"#?([A-Z_]+)=(.*)", line):
            if not comment:
                raise ValueError(f".env.example does not explain {assigned[1]}")
            yield Entry(group, assigned[1], assigned[2], " ".join(comment))
            comment = []
        elif line.startswith("# ") and not line.startswith("# or: "):
            comment.append(line[2:])
        elif not line:
            comment = []


def page(text: str) -> str:
    """The whole page as Markdown. text: that of .env.example."""
    lines, group = [HEAD.rstrip()], ""
    for entry in entries(text):
        if entry.group != group:
            group = entry.group
            lines += ["", f"## {group}"]
        lines += ["", f"### `{entry.name}`", "", *_entry(entry)]
    return "\n".join(lines) + "\n"


def _entry(entry: Entry) -> Iterator[str]:
    declared = [field for field in fields(Settings) if entry.name in field.metadata["names"]]
    yield _marked(entry.about)
    yield ""
    if not declared:  # Gunicorn's
        yield f"- Default `{entry.value}`."
        return
    required = next((field for field in declared if field.default is MISSING), None)
    own = next((f for f in declared if f.metadata["names"][0] == entry.name), None)
    yield _needed(required) if required else _default(declared[0])
    expected = own.metadata["expected"] if own else f"as {entry.value}"
    yield f"- Value: {_marked(expected or 'any')}."
    if not declared[0].repr:
        yield "- Secret: never shown, never logged."
    shown = entry.value in expected or entry.value == _written(declared[0].default)
    if entry.value.strip("…") and not (shown or required):
        yield f"- For example `{entry.value}`."


def _needed(field: "Field[Any]") -> str:
    names = field.metadata["names"]
    if len(names) == 1:
        return "- Required."
    listed = ", ".join(f"`{name}`" for name in names)
    return f"- Required: one of {listed}. The first that is set counts."


def _default(field: "Field[Any]") -> str:
    written = _written(field.default)
    return f"- Default `{written}`." if written else "- Not set by default."


def _written(default: Any) -> str:
    """As the variable would say it."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ",".join(default)
    if isinstance(default, float):
        return f"{default:g}"
    return str(default or "" if default != 0 else default)


def _marked(text: str) -> str:
    """With the pages that it names as links, and as code what has a mark that no word has."""
    pieces = re.split(r"(`[^`]*`)", text)
    pieces[::2] = [re.sub(r"[^\s(]+", lambda word: _word(word[0]), piece) for piece in pieces[::2]]
    return "".join(pieces)


def _word(text: str) -> str:
    word = text.rstrip(".,;:)")
    rest = text[len(word) :]
    if page := re.fullmatch(r"docs/([\w-]+\.md)", word):
        return f"[{page[1]}]({page[1]}){rest}"
    return f"`{word}`{rest}" if re.search(r"[_…*<=?:\\]|^/|\w/\w", word) else text


if __name__ == "__main__":
    written = page(EXPLAINED.read_text())
    PAGE.write_text(written)
    sys.stdout.write(f"{PAGE.relative_to(ROOT)}: {len(written.splitlines())} lines\n")
