"""What the multinomial likelihoods with soft targets have in common."""

from __future__ import annotations

from nearfar.core.errors import SettingsError


def check_background(background: float) -> None:
    """Check the setting `background`.

    Raises:
        SettingsError: it is negative.
    """
    if background < 0:
        raise SettingsError(f"background is {background}; it must be 0 (none) or more, as 1")
