"""What the service's pinned packages are licensed under: `make licences` writes docs/licences.md.

Says no to a licence that nobody has looked at. Packages for development are not shipped and not
listed.
"""

import re
import sys
from importlib.metadata import metadata
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = ROOT / "docs" / "licences.md"
LOCKS = ("requirements.txt", "requirements-redis.txt", "requirements-sentry.txt")

# All that is asked for is to keep the notice. MPL-2.0 also asks whoever changes the package's own
# files to publish them; nothing here does.
ACCEPTED = {
    "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0",
}  # fmt: skip
# What packages of before SPDX write instead.
SPDX = {
    "Apache 2": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",  # of those below, by their licence files
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

HEAD = """\
# Licences

Of the packages that the service is shipped with: those of `requirements.txt` and, as extras, of
`requirements-redis.txt` and `requirements-sentry.txt`. Made by `make licences` from what the
packages say of themselves; `tests/house/` keeps it current and refuses a licence that nobody has
looked at. Wheels can hold libraries of others, whose notices are inside. The service itself is
under MIT (`LICENSE`).

| package | version | licence |
|---|---|---|
"""


class NotAccepted(Exception):
    """Raised for a licence that somebody has to look at; the message names the package."""


def pinned() -> dict[str, str]:
    """The packages that the locks hold, with their versions."""
    text = "".join((ROOT / lock).read_text() for lock in LOCKS)
    return dict(sorted(re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", text, re.MULTILINE)))


def licence(package: str) -> str:
    """As an SPDX expression. Raises NotAccepted."""
    about = metadata(package)
    classifiers = about.get_all("Classifier") or []
    said = [
        about.get("License-Expression"),
        about.get("License"),
        *(c.rpartition(" :: ")[2] for c in classifiers if c.startswith("License ::")),
    ]
    for word in filter(None, said):
        expression = SPDX.get(word, word)
        if set(re.split(r" (?:AND|OR) ", expression)) <= ACCEPTED:
            return expression
    raise NotAccepted(f"{package} is under {next(filter(None, said), 'nothing that it names')!r}")


def document() -> str:
    rows = [f"| {name} | {version} | {licence(name)} |" for name, version in pinned().items()]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    try:
        LIST.write_text(document())
    except NotAccepted as refused:
        sys.exit(f"Look at it, then add it to {Path(__file__).relative_to(ROOT)}: {refused}")
