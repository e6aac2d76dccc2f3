"""`flask portal …`: what operators run by hand or by the clock, a module each."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module

from click import Command

# `portal-service …` has these too, and `serve`.
NAMES = ("check", "configure", "forget", "link", "migrate", "replay", "sync", "webhook")


class OnDemand(MutableMapping[str, Command]):
    """Commands by their names. A module is loaded when its command is asked for: a service that
    answers requests needs none, and starts sooner.
    """

    def __init__(self, *names: str) -> None:
        self._loaded: dict[str, Command | None] = dict.fromkeys(names)

    def __getitem__(self, name: str) -> Command:
        command = self._loaded[name]
        if command is None:
            command = getattr(import_module(f"{__name__}.{name}"), name)
            self._loaded[name] = command
        return command

    def __setitem__(self, name: str, command: Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaded)

    def __len__(self) -> int:
        return len(self._loaded)
