"""Formulas of terminals, made readable for pages."""

import pytest

from nearfar.report.sections.diagnostics import as_formula


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("help from near users, by ||x_u - x_v||_1", "help from near users, by ‖xᵤ - xᵥ‖₁"),
        ("of it ||mu - c||^2", "of it ‖mu - c‖²"),
        ("share of W2^2 that is of the means", "share of W2² that is of the means"),
        ("lambda_A = 0.1", "λ_A = 0.1"),
        ("KL(qbar || p)", "KL(q\u0304 || p)"),
        ("a user's n_users and items_per", "a user's n_users and items_per"),
        ("x_under", "x_under"),
    ],
)
def test_a_formula(text: str, expected: str) -> None:
    assert as_formula(text) == expected
