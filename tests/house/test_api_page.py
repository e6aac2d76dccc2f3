"""docs/api.md is what portal_service/openapi.json says: `make api` writes it."""

import json

from api_page import DOCUMENT, PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(json.loads(DOCUMENT.read_text())), "run `make api`"
