"""What an A/B test shall be able to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Gt, Lt, MinLen

from nearfar.abtest.metrics import METRICS, UpliftMetric
from nearfar.core.errors import SettingsError
from nearfar.core.ranges import PositiveFloat, PositiveInt
from nearfar.core.settings import Settings


@dataclass(frozen=True)
class PlanSettings(Settings):
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

    Examples:
        >>> from nearfar.abtest.plan_settings import PlanSettings
        >>> PlanSettings(uplift=0.02, power=0.9).days
        (7, 14, 21, 28)
    """

    metrics: tuple[UpliftMetric, ...] = METRICS
    weights: Annotated[tuple[PositiveInt, ...], MinLen(2)] = (1, 1)
    uplift: PositiveFloat | None = None
    days: Annotated[tuple[PositiveInt, ...], MinLen(1)] = (7, 14, 21, 28)
    users: Annotated[int, Ge(4)] | None = None
    alpha: Annotated[float, Gt(0), Lt(1)] = 0.05
    power: Annotated[float, Gt(0), Lt(1)] = 0.8

    def check_together(self) -> None:
        if self.power <= self.alpha:
            raise SettingsError(f"power {self.power} is not above alpha {self.alpha}")


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """Whole numbers from "7,14,28".

    Raises:
        SettingsError: a part is not valid.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"{what} are {text!r}; write whole numbers, as 7,14,28") from None
