"""What an A/B test shall be able to show."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.abtest.metrics import METRICS, UpliftMetric
from nearfar.core.errors import SettingsError


@dataclass(frozen=True)
class PlanSettings:
    """What an A/B test shall be able to show.

    Args:
        metrics: what it measures.
        weights: how users are spread over arms; the first is the control. The plan is for the
            comparison of the control with the smallest other arm.
        uplift: the relative uplift that must be shown, as 0.05; None for none in particular.
        days: how long it may run; for each the smallest uplift is told.
        users: so many users in all arms together, whatever the log says of their number.
        alpha: the chance of finding a difference where there is none.
        power: the chance of finding the uplift where there is one.
    """

    metrics: tuple[UpliftMetric, ...] = METRICS
    weights: tuple[int, ...] = (1, 1)
    uplift: float | None = None
    days: tuple[int, ...] = (7, 14, 21, 28)
    users: int | None = None
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        for name in ("alpha", "power"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}; it lies between 0 and 1")
        if self.power <= self.alpha:
            raise SettingsError(f"power {self.power} is not above alpha {self.alpha}")
        if self.uplift is not None and not self.uplift > 0:
            raise SettingsError(f"uplift is {self.uplift}; a share above 0 was expected, as 0.05")
        if not self.days or min(self.days) < 1:
            raise SettingsError(f"days are {list(self.days)}; write them as 7,14,28")
        if self.users is not None and self.users < 4:
            raise SettingsError(f"users are {self.users}; four or more were expected")
        if len(self.weights) < 2 or min(self.weights) < 1:
            raise SettingsError(
                f"weights are {list(self.weights)}; give two or more whole numbers above 0"
            )


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers from "7,14,28".

    Raises:
        SettingsError: a part is none.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"{what} are {text!r}; write whole numbers, as 7,14,28") from None
