"""The settings of a planned A/B test."""

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
    """The settings of a planned A/B test.

    Args:
        metrics: the metrics to plan for.
        weights: relative sizes of the arms; the first is the control. The plan is for the
            comparison of the control with the smallest other arm.
        uplift: relative uplift to detect, such as 0.05; None for no particular uplift.
        days: possible lengths in days; the plan has the smallest uplift for each.
        users: users in all arms together; None to estimate them from the log.
        alpha: probability of finding a difference if there is none.
        power: probability of finding the uplift if there is one.

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
            raise SettingsError(
                f"power {self.power} is not above alpha {self.alpha}; give a larger power, such as "
                "0.8"
            )


def parse_numbers(text: str, what: str) -> tuple[int, ...]:
    """Parse comma-separated whole numbers, such as "7,14,28".

    Raises:
        SettingsError: a part is not a whole number.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise SettingsError(f"{what} are {text!r}; write whole numbers, such as 7,14,28") from None
