from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from math import ceil, floor, trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plimsoll.core import units
from plimsoll.core.errors import UserError
from plimsoll.core.units import WAD

signed = st.integers(-(2**255), 2**255 - 1)
nonzero = signed.filter(lambda n: n != 0)


@given(signed, signed, nonzero)
def test_mul_div__any_signs__rounds_as_named(a: int, b: int, d: int) -> None:
    exact = Fraction(a * b, d)
    assert units.mul_div_floor(a, b, d) == floor(exact)
    assert units.mul_div_ceil(a, b, d) == ceil(exact)
    assert units.mul_div_trunc(a, b, d) == trunc(exact)
    away = ceil(exact) if exact > 0 else floor(exact)
    assert units.mul_div_away(a, b, d) == away


@given(signed, nonzero)
def test_wad_products_and_quotients__any_signs__bracket_the_exact_value(a: int, b: int) -> None:
    product, quotient = Fraction(a * b, WAD), Fraction(a * WAD, b)
    assert (units.mul_down(a, b), units.mul_up(a, b)) == (floor(product), ceil(product))
    assert (units.div_down(a, b), units.div_up(a, b)) == (floor(quotient), ceil(quotient))
    assert (units.mul_trunc(a, b), units.div_trunc(a, b)) == (trunc(product), trunc(quotient))


@pytest.mark.parametrize("divide", [units.div_down, units.div_up, units.div_trunc])
def test_div__zero_denominator__raises(divide: Callable[[int, int], int]) -> None:
    with pytest.raises(ZeroDivisionError):
        divide(1, 0)


@given(signed)
def test_from_wad__round_trip__is_exact_in_any_decimal_context(wad: int) -> None:
    with localcontext() as context:
        context.prec = 3
        assert units.to_wad(units.from_wad(wad)) == wad
        assert units.to_wad(str(units.from_wad(wad))) == wad
        assert units.to_ray(units.from_ray(wad)) == wad


@pytest.mark.parametrize(
    ("text", "wad"),
    [("1", WAD), ("1_000.5", 1_000 * WAD + WAD // 2), (" -0.1 ", -WAD // 10), ("1e-18", 1), ("2e3", 2_000 * WAD)],
)
def test_to_wad__text__is_exact(text: str, wad: int) -> None:
    assert units.to_wad(text) == wad


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("abc", "is not a number"),
        ("", "is not a number"),
        ("nan", "is not finite"),
        ("inf", "is not finite"),
        ("1e-19", "more than 18 decimals"),
        ("1e999", "out of range"),
        (Decimal("0.1234567890123456789"), "more than 18 decimals"),
    ],
)
def test_to_wad__not_representable__says_what_and_why(value: str | Decimal, reason: str) -> None:
    with pytest.raises(UserError, match=f"price: .*{reason}"):
        units.to_wad(value, what="price")


@pytest.mark.parametrize("value", [1.5, True])
def test_to_wad__float_or_bool__is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        units.to_wad(value)  # type: ignore[arg-type]


def test_from_wad__whole_numbers__have_no_trailing_zeros() -> None:
    assert str(units.from_wad(1_500 * WAD)) == "1500"
    assert str(units.from_wad(-WAD // 4)) == "-0.25"
    assert str(units.from_wad(0)) == "0"


@given(st.integers(0, 2**128), st.integers(0, 18))
def test_token_conversion__any_decimals__loses_less_than_one_unit(amount: int, decimals: int) -> None:
    wad = units.token_to_wad(amount, decimals)
    assert units.wad_to_token_down(wad, decimals) == amount == units.wad_to_token_up(wad, decimals)
    assert units.wad_to_token_up(wad + 1, decimals) - units.wad_to_token_down(wad + 1, decimals) == (decimals < 18)


def test_token_to_wad__nineteen_decimals__raises() -> None:
    with pytest.raises(ValueError, match="19"):
        units.token_to_wad(1, 19)


@pytest.mark.parametrize(
    ("wad", "text"),
    [
        (0, "$0.00"),
        (-1, "$0.00"),
        (1_234_565 * WAD // 1_000, "$1,234.57"),
        (-WAD // 10, "-$0.10"),
        (5 * WAD // 1_000, "$0.01"),
    ],
)
def test_format_usd__cents__rounds_half_away_and_has_no_minus_zero(wad: int, text: str) -> None:
    assert units.format_usd(wad) == text


@pytest.mark.parametrize(
    ("dollars", "text"),
    [(950, "$950.00"), (12_345, "$12.3k"), (-4_560_000, "-$4.56m"), (1_200_000_000, "$1.20bn")],
)
def test_format_usd_short__sizes__picks_the_suffix(dollars: int, text: str) -> None:
    assert units.format_usd_short(dollars * WAD) == text


def test_format_percent__fraction__is_in_percent() -> None:
    assert units.format_percent(WAD // 80) == "1.25%"
    assert units.format_percent(-WAD // 3, 1) == "-33.3%"


def test_format_wad__places_out_of_range__raises() -> None:
    with pytest.raises(ValueError, match="19"):
        units.format_wad(1, 19)


def test_bps_to_wad__one_basis_point__is_1e14() -> None:
    assert units.bps_to_wad(1) == 10**14
