"""What goes wrong at the moment: the switches that the control API turns, obeyed by stand-ins."""

from dataclasses import asdict, dataclass, fields
from typing import Any

SLOW_SECONDS = 3.0

CHOICES = {
    "stripe": ("up", "error", "slow", "rate_limited", "hang"),
    "database": ("up", "down", "slow"),
    "clerk": ("up", "down"),
}
NUMBERS = ("webhook_delay_ms", "webhook_duplicates", "stripe_latency_ms", "database_latency_ms")


@dataclass
class Faults:
    """stripe: `hang` takes calls and answers none until it is lifted or the caller goes away.
    stripe_latency_ms, database_latency_ms: how much longer each call takes than it would.
    """

    webhook_delay_ms: int = 0
    webhook_duplicates: int = 0
    webhook_shuffle: bool = False
    stripe: str = "up"
    stripe_latency_ms: int = 0
    database: str = "up"
    database_latency_ms: int = 0
    clerk: str = "up"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def update(self, changes: dict[str, Any]) -> None:
        """Turn some switches; all or none. Raises ValueError that says what is wrong."""
        for name, value in changes.items():
            self._check(name, value)
        for name, value in changes.items():
            setattr(self, name, value)

    def reset(self) -> None:
        for field in fields(self):
            setattr(self, field.name, field.default)

    def _check(self, name: str, value: Any) -> None:
        if name in CHOICES:
            if value not in CHOICES[name]:
                raise ValueError(f"{name} is one of {', '.join(CHOICES[name])}")
        elif name == "webhook_shuffle":
            if not isinstance(value, bool):
                raise ValueError("webhook_shuffle is true or false")
        elif name in NUMBERS:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 60_000:
                raise ValueError(f"{name} is a whole number from 0 to 60000")
        else:
            raise ValueError(f"there is no fault named {name}")
