"""What goes wrong at the moment: the switches that the control API turns, obeyed by stand-ins."""

from dataclasses import asdict, dataclass, fields
from typing import Any

SLOW_SECONDS = 3.0

CHOICES = {
    "stripe": ("up", "error", "slow", "rate_limited"),
    "database": ("up", "down", "slow"),
    "clerk": ("up", "down"),
}


@dataclass
class Faults:
    webhook_delay_ms: int = 0
    webhook_duplicates: int = 0
    webhook_shuffle: bool = False
    stripe: str = "up"
    database: str = "up"
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
        elif name in ("webhook_delay_ms", "webhook_duplicates"):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 60_000:
                raise ValueError(f"{name} is a whole number from 0 to 60000")
        else:
            raise ValueError(f"there is no fault named {name}")
