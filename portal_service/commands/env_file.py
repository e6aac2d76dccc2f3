"""One variable in a file of them, as .env: written whole or not at all, for its owner's eyes."""

import os
import re
from pathlib import Path


class EnvFile:
    """Raises OSError where it can't be written, before anything is changed."""

    def __init__(self, path: Path) -> None:
        self._path = path.resolve()  # a link stays one
        self._partly = self._path.with_name(f".{self._path.name}.partly")
        self._partly.touch(0o600)  # so that a folder that won't do is found in time
        self._partly.unlink()

    def get(self, name: str) -> str | None:
        found = re.findall(_line(name), self._text(), re.MULTILINE)
        return found[-1].strip().strip("\"'") or None if found else None

    def set(self, name: str, value: str) -> None:
        """Replace the variable where it stands, else add it at the end. The mode becomes 600."""
        text, line = self._text(), f"{name}={value}"
        text, count = re.subn(_line(name), lambda _: line, text, flags=re.MULTILINE)
        if not count:
            text += ("" if not text or text.endswith("\n") else "\n") + line + "\n"
        try:
            with open(
                os.open(self._partly, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w"
            ) as f:
                f.write(text)
                f.flush()
                os.fsync(f.fileno())
            self._partly.replace(self._path)
        finally:
            self._partly.unlink(missing_ok=True)

    def _text(self) -> str:
        return self._path.read_text() if self._path.exists() else ""


def _line(name: str) -> str:
    return rf"^(?:export\s+)?{re.escape(name)}[ \t]*=(.*)$"
