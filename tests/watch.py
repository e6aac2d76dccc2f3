"""What must never be seen, and a watch over what is: the log, the answers, the metrics.

`nothing_leaks`, imported by a conftest, watches over each of its tests: every secret of every
settings that the test makes, every session token, every session URL, every e-mail address. A
module that leaks on purpose has a fixture of that name which does nothing.
"""

import json
import logging
import re
import ssl
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
from flask import Flask, Response, request_finished
from prometheus_client import REGISTRY
from werkzeug.routing import Rule

from portal_service.config import Settings
from portal_service.log import LOGGER, JsonFormatter, TextFormatter
from sandbox.clerk import Clerk

FORMATTERS = {
    "a line of text": TextFormatter(),
    "a line of JSON": JsonFormatter(),
    "a host app's line": logging.Formatter("%(message)s %(fields)s", defaults={"fields": ""}),
}

# Of Stripe, on a domain of the account's own, and of the stand-in.
_SESSION_URL = re.compile(r"https?://[^\s\"']+/(?:p/session|c/pay)/\w+")
# Those of the tests' people: `http://localhost@evil.example`, an attack, is none.
_EMAIL = re.compile(r"[\w.+-]+(?:@|%40)(?:[\w-]+\.)*example\.com")
_SHORTEST = 6
# From so many secrets on, to look for each is slower than to look where one could begin.
_MANY = 100


class Watch:
    """Collects secrets, and complaints about each place where one is seen."""

    def __init__(self) -> None:
        self.secrets: set[str] = set()
        self.complaints: list[str] = []
        self._by_beginning: dict[str, list[str]] = {}
        self._sorted_in = 0  # how many secrets that has

    def keep_secret(self, *values: str) -> None:
        """A part of a secret is as bad: what stands after a hyphen, say."""
        for value in values:
            parts = [part for part in re.split(r"[^\w]", value) if len(part) >= 2 * _SHORTEST]
            self.secrets |= {v for v in (value, *parts) if len(v) >= _SHORTEST}

    def keep_secrets_of(self, settings: Settings) -> None:
        """Those that their repr leaves out."""
        for field in fields(settings):
            value = getattr(settings, field.name)
            if field.repr or value in (None, "memory://"):
                continue
            self.keep_secret(*([value] if isinstance(value, str) else value))

    def look_at(self, where: str, text: str) -> None:
        secrets = self.secrets if len(self.secrets) < _MANY else self._that_begin_in(text)
        seen = [secret for secret in secrets if secret in text]
        if "/p/session/" in text or "/c/pay/" in text:  # which is quicker to see
            seen += _SESSION_URL.findall(text)
        if "example.com" in text:
            seen += _EMAIL.findall(text)
        if seen:
            self.complaints.append(f"{where} shows {sorted(set(seen))[:9]}: {text[:1000]}")

    def _that_begin_in(self, text: str) -> list[str]:
        """The secrets whose first letters stand somewhere in a text."""
        if self._sorted_in != len(self.secrets):
            self._by_beginning = {}
            for secret in self.secrets:
                self._by_beginning.setdefault(secret[:_SHORTEST], []).append(secret)
            self._sorted_in = len(self.secrets)
        begun = {text[at : at + _SHORTEST] for at in range(len(text))}
        return [one for few in begun & self._by_beginning.keys() for one in self._by_beginning[few]]

    def look_at_record(self, record: logging.LogRecord) -> bool:
        """A filter before all others: what is said holds no secret in the first place. Removing
        it is the second line of defence, not the first.
        """
        raised = logging.Formatter().formatException(record.exc_info) if record.exc_info else ""
        self.look_at("a record", f"{record.getMessage()} {getattr(record, 'fields', '')} {raised}")
        return True

    def look_at_line(self, record: logging.LogRecord) -> bool:
        """A filter after all others: what handlers write, ours and a host app's."""
        for where, formatter in FORMATTERS.items():
            self.look_at(where, formatter.format(record))
        return True

    def start(self) -> None:
        LOGGER.filters.insert(0, self.look_at_record)
        LOGGER.filters.append(self.look_at_line)
        request_finished.connect(self.look_at_answer)

    def stop(self) -> None:
        request_finished.disconnect(self.look_at_answer)
        LOGGER.removeFilter(self.look_at_record)
        LOGGER.removeFilter(self.look_at_line)

    def look_at_answer(self, sender: Flask, response: Response) -> None:
        """An answer of the service; not of a stand-in."""
        if "portal_service" not in sender.extensions:
            return
        body = response.get_data(as_text=True) if not response.is_streamed else ""
        if response.status_code == 200 and response.is_json:
            answer: Any = json.loads(body)
            answer.pop("url", None)  # the one thing that portal and checkout are for
            body = json.dumps(answer)
        self.look_at("an answer", f"{response.status} {response.headers} {body}")

    def look_at_metrics(self) -> None:
        labels = {
            " ".join(sample.labels.values())
            for metric in REGISTRY.collect()
            for sample in metric.samples
        }
        for values in labels:
            self.look_at("a metric", values)


@pytest.fixture(scope="module", autouse=True)
def no_label_leaks() -> Iterator[Watch]:
    """Labels stay, so that they are looked at once for all tests of a module."""
    watch = Watch()
    yield watch
    watch.look_at_metrics()
    assert not watch.complaints, "\n\n".join(watch.complaints)


@pytest.fixture(autouse=True)
def nothing_leaks(monkeypatch: pytest.MonkeyPatch, no_label_leaks: Watch) -> Iterator[Watch]:
    watch = Watch()
    sign, settle = Clerk.sign, Settings.__post_init__

    def signed(self: Clerk, *args: Any, **header: Any) -> str:
        token = sign(self, *args, **header)
        watch.keep_secret(token)
        return token

    def settled(self: Settings) -> None:
        settle(self)
        watch.keep_secrets_of(self)

    monkeypatch.setattr(Clerk, "sign", signed)
    monkeypatch.setattr(Settings, "__post_init__", settled)
    LOGGER.filters.insert(0, watch.look_at_record)  # before the one that removes
    request_finished.connect(watch.look_at_answer)
    yield watch
    request_finished.disconnect(watch.look_at_answer)
    LOGGER.removeFilter(watch.look_at_record)
    no_label_leaks.secrets |= watch.secrets
    assert not watch.complaints, "\n\n".join(watch.complaints)


@pytest.fixture(scope="module", autouse=True)
def cheap_apps() -> Iterator[None]:
    """An app of its own for each test, without what takes longer than most tests: each client of
    the database reads all certificates of the world, and nobody here speaks TLS; each route makes
    its builder of addresses, and the service asks for none.
    """
    build = Rule._compile_builder

    def when_asked(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return lambda self, **values: build(rule, append_unknown)(self, **values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("ssl.create_default_context", cache(ssl.create_default_context))
        patched.setattr(Rule, "_compile_builder", when_asked)
        yield
