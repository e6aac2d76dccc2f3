"""The fixtures of tests without Postgres and without stand-ins."""

from alone import clock, in_tokyo, log, no_budget  # noqa: F401
