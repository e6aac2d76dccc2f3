"""The service of the integration tests, asked by many at once."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from integration.conftest import (  # noqa: E402
    _test_stripe,
    ada,
    log,
    make_service,
    nothing_leaks,
    one_ssl_context,
    other_stripe,
    service_at,
    settings,
)  # fmt: skip

__all__ = [
    "_test_stripe", "ada", "log", "make_service", "nothing_leaks", "one_ssl_context",
    "other_stripe", "service_at", "settings",
]  # fmt: skip
