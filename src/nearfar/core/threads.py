"""How long PyTorch's threads wait for each other before they give up the processor."""

from __future__ import annotations

from collections.abc import MutableMapping

SPINS = "5000"
"""Some .1 to .3 milliseconds: longer than most gaps between parallel parts of a training step."""

CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""The variables by which a user chooses."""


def spin_briefly(environment: MutableMapping[str, str]) -> None:
    """Let idle threads of GNU's OpenMP spin briefly before they sleep, unless the user chose.

    By default they spin some 300,000 times, up to 16 milliseconds on Intel's processors. Where
    other programs run too, a thread then spins for the one that waits for its processor: a training
    step took eight times as long (docs/performance.md). PyTorch reads this when it is imported.

    Args:
        environment: of this process; changed in place.
    """
    if not any(name in environment for name in CHOICES):
        environment["GOMP_SPINCOUNT"] = SPINS
