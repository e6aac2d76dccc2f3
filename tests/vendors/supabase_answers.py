"""Supabase as the unit tests let it answer: what it was asked, and what it says."""

import json
from typing import Any

import httpx

NOBODY = {"user_id": None, "stripe_customer_id": None, "gone_customers": [], "subscriptions": []}


class Supabase:
    """Answers with what it was told, in turn, the last one again and again."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []

    def forget(self) -> None:
        """Neither asked nor told anything yet."""
        self.requests.clear()
        self.answers.clear()

    def answer(self, status: int = 200, **content: Any) -> None:
        self.answers.append(httpx.Response(status, **content))

    def fail(self, error: Exception) -> None:
        self.answers.append(error)

    def handle(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    @property
    def request(self) -> httpx.Request:
        """The only one."""
        (only,) = self.requests
        return only

    @property
    def arguments(self) -> Any:
        return json.loads(self.request.content)
