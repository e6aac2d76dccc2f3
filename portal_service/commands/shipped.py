"""Where the files are that ship beside the code: a wheel has them inside of the package, a checkout
in its root.
"""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped(in_wheel: str, in_checkout: str) -> Path:
    """The one of the two that exists, else where a checkout would have it."""
    packed = _PACKAGE / in_wheel
    return packed if packed.exists() else _PACKAGE.parent / in_checkout
