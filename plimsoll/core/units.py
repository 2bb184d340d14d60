"""Fixed-point numbers as the contracts have them: Python ints with 18 (WAD) or 27 (RAY) decimals.

Money never passes through a float. `Decimal` and text appear only at the edge where people read or write.
On signed numbers "down" is toward minus infinity and "up" toward plus infinity; `trunc` is toward zero.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from plimsoll.core.errors import UserError

WAD_DECIMALS = 18
RAY_DECIMALS = 27
WAD = 10**18
RAY = 10**27
BPS = 10_000
WAD_PER_BPS = WAD // BPS

SECONDS_PER_MINUTE = 60
SECONDS_PER_HOUR = 3_600
SECONDS_PER_DAY = 86_400

MAX_TOKEN_DECIMALS = 18


# ---------------------------------------------------------------------------------------------------------- mul, div


def mul_div_floor(a: int, b: int, denominator: int) -> int:
    """a × b / denominator, rounded toward minus infinity. Raises ZeroDivisionError."""
    return a * b // denominator


def mul_div_ceil(a: int, b: int, denominator: int) -> int:
    """a × b / denominator, rounded toward plus infinity. Raises ZeroDivisionError."""
    return -(-(a * b) // denominator)


def mul_div_trunc(a: int, b: int, denominator: int) -> int:
    """a × b / denominator, rounded toward zero, as Solidity divides. Raises ZeroDivisionError."""
    product = a * b
    quotient = abs(product) // abs(denominator)
    return quotient if (product < 0) == (denominator < 0) else -quotient


def mul_div_away(a: int, b: int, denominator: int) -> int:
    """a × b / denominator, rounded away from zero. Raises ZeroDivisionError."""
    product = a * b
    quotient = -(-abs(product) // abs(denominator))
    return quotient if (product < 0) == (denominator < 0) else -quotient


def mul_down(a: int, b: int) -> int:
    """WAD product, rounded down."""
    return mul_div_floor(a, b, WAD)


def mul_up(a: int, b: int) -> int:
    """WAD product, rounded up."""
    return mul_div_ceil(a, b, WAD)


def mul_trunc(a: int, b: int) -> int:
    """WAD product, rounded toward zero."""
    return mul_div_trunc(a, b, WAD)


def div_down(a: int, b: int) -> int:
    """WAD quotient, rounded down. Raises ZeroDivisionError."""
    return mul_div_floor(a, WAD, b)


def div_up(a: int, b: int) -> int:
    """WAD quotient, rounded up. Raises ZeroDivisionError."""
    return mul_div_ceil(a, WAD, b)


def div_trunc(a: int, b: int) -> int:
    """WAD quotient, rounded toward zero. Raises ZeroDivisionError."""
    return mul_div_trunc(a, WAD, b)


# ------------------------------------------------------------------------------------------------------- conversions


def to_units(value: str | int | Decimal, decimals: int, *, what: str = "number") -> int:
    """A number a person wrote as an int with `decimals` decimals. Exact.

    Underscores may group digits ("1_000.5"). Raises UserError, naming `what`, where it is no finite number or has more
    decimals than fit; TypeError for floats, which cannot say what they mean.
    """
    if isinstance(value, (float, bool)):
        raise TypeError(f"{what}: {type(value).__name__} is not a number of money; pass str, int or Decimal")
    if isinstance(value, int):
        return value * _power_of_ten(decimals)
    try:
        number = Decimal(value.strip().replace("_", "")) if isinstance(value, str) else value
    except InvalidOperation:
        raise UserError(f"{what}: {value!r} is not a number; write it like 1234.56") from None
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int):
        raise UserError(f"{what}: {value!r} is not finite; write it like 1234.56")
    if abs(exponent) > 100 or len(digits) > 100:
        raise UserError(f"{what}: {str(value)[:40]!r} is out of range; write it like 1234.56")
    magnitude = int("".join(map(str, digits)) or "0")
    shift = exponent + decimals
    if shift >= 0:
        magnitude *= _power_of_ten(shift)
    else:
        magnitude, rest = divmod(magnitude, _power_of_ten(-shift))
        if rest:
            raise UserError(f"{what}: {value} has more than {decimals} decimals; round it first")
    return -magnitude if sign else magnitude


def from_units(units: int, decimals: int) -> Decimal:
    """An int with `decimals` decimals as a Decimal: exact whatever the decimal context, without trailing zeros."""
    digits = str(abs(units))
    zeros = min(len(digits) - len(digits.rstrip("0")), decimals) if units else decimals
    kept = digits[: len(digits) - zeros] if units else "0"
    return Decimal((int(units < 0), tuple(map(int, kept)), zeros - decimals))


def to_wad(value: str | int | Decimal, *, what: str = "number") -> int:
    """A number a person wrote, in WAD. Exact; raises as `to_units`."""
    return to_units(value, WAD_DECIMALS, what=what)


def from_wad(wad: int) -> Decimal:
    """WAD as an exact Decimal."""
    return from_units(wad, WAD_DECIMALS)


def to_ray(value: str | int | Decimal, *, what: str = "number") -> int:
    """A number a person wrote, with 27 decimals. Exact; raises as `to_units`."""
    return to_units(value, RAY_DECIMALS, what=what)


def from_ray(ray: int) -> Decimal:
    """A number with 27 decimals as an exact Decimal."""
    return from_units(ray, RAY_DECIMALS)


def bps_to_wad(bps: int) -> int:
    """Basis points as a WAD fraction: 10_000 bps = 1."""
    return bps * WAD_PER_BPS


def token_to_wad(amount: int, token_decimals: int) -> int:
    """Token units as WAD. Exact, since tokens have at most 18 decimals. Raises ValueError outside 0 to 18."""
    return amount * _token_scale(token_decimals)


def wad_to_token_down(wad: int, token_decimals: int) -> int:
    """WAD as token units, rounded down: what is credited to someone who leaves."""
    return wad // _token_scale(token_decimals)


def wad_to_token_up(wad: int, token_decimals: int) -> int:
    """WAD as token units, rounded up: what someone has to bring."""
    return -(-wad // _token_scale(token_decimals))


def _token_scale(token_decimals: int) -> int:
    if not 0 <= token_decimals <= MAX_TOKEN_DECIMALS:
        raise ValueError(f"token decimals must lie between 0 and {MAX_TOKEN_DECIMALS}, not {token_decimals}")
    return _power_of_ten(WAD_DECIMALS - token_decimals)


def _power_of_ten(exponent: int) -> int:
    power: int = 10**exponent
    return power


# -------------------------------------------------------------------------------------------------------- formatting


def format_wad(wad: int, places: int = 2, *, grouped: bool = True) -> str:
    """WAD as text with `places` decimals (0 to 18), rounded half away from zero: "1,234.57". Never "-0.00"."""
    if not 0 <= places <= WAD_DECIMALS:
        raise ValueError(f"places must lie between 0 and {WAD_DECIMALS}, not {places}")
    step = _power_of_ten(WAD_DECIMALS - places)
    rounded = (abs(wad) + step // 2) // step
    whole, part = divmod(rounded, _power_of_ten(places))
    text = f"{whole:,}" if grouped else str(whole)
    if places:
        text += f".{part:0{places}d}"
    return "-" + text if wad < 0 and rounded else text


def format_usd(wad: int, places: int = 2) -> str:
    """WAD dollars as text: "$1,234.57", "-$0.10"."""
    text = format_wad(wad, places)
    return "-$" + text[1:] if text.startswith("-") else "$" + text


def format_usd_short(wad: int) -> str:
    """WAD dollars in three or four digits: "$950.00", "$12.3k", "-$4.56m", "$1.20bn"."""
    for limit, suffix in ((10**9, "bn"), (10**6, "m"), (10**3, "k")):
        if abs(wad) >= limit * WAD:
            scaled = mul_div_trunc(wad, 1, limit)
            return format_usd(scaled, 1 if abs(scaled) >= 10 * WAD else 2) + suffix
    return format_usd(wad)


def format_percent(wad: int, places: int = 2) -> str:
    """A WAD fraction as text in percent: 0.0125e18 → "1.25%"."""
    return format_wad(wad * 100, places) + "%"
