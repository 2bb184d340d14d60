from decimal import Decimal, localcontext

import pytest

from plimsoll.risk.scenario.draws import Draws


def test_draws__same_seed_and_label__repeat_in_any_decimal_context() -> None:
    def drawn() -> list[object]:
        draws = Draws(7, "x")
        return [draws.below(10), draws.uniform(), draws.normal(), draws.log_uniform(Decimal(2), Decimal(20))]

    with localcontext() as context:
        context.prec = 3
        narrow = drawn()
    assert narrow == drawn()
    assert Draws(7, "x").uniform() != Draws(7, "y").uniform()
    assert Draws(7, "x").uniform() != Draws(8, "x").uniform()


def test_normal__many_draws__has_the_moments() -> None:
    draws = Draws(1, "normal")
    drawn = [draws.normal() for _ in range(4_000)]
    mean = sum(drawn, Decimal()) / len(drawn)
    variance = sum(((value - mean) * (value - mean) for value in drawn), Decimal()) / len(drawn)
    assert abs(mean) < Decimal("0.06")
    assert abs(variance - 1) < Decimal("0.1")


def test_log_uniform__many_draws__stay_inside_with_the_median_in_the_geometric_middle() -> None:
    draws = Draws(1, "leverage")
    drawn = sorted(draws.log_uniform(Decimal(2), Decimal(20)) for _ in range(2_000))
    assert drawn[0] >= 2
    assert drawn[-1] <= 20
    assert abs(drawn[1_000] - Decimal("6.32")) < Decimal("0.4")
    assert draws.log_uniform(Decimal(3), Decimal(3)) == 3


def test_flags__any_count__sets_exactly_as_many() -> None:
    for chosen in range(6):
        assert sum(Draws(chosen, "flags").flags(5, chosen)) == chosen


def test_weighted__zero_weights__are_never_chosen() -> None:
    draws = Draws(1, "weighted")
    drawn = [draws.weighted([("a", 3), ("b", 0), ("c", 1)]) for _ in range(400)]
    assert set(drawn) == {"a", "c"}
    assert 250 < drawn.count("a") < 350
    with pytest.raises(ValueError, match="positive"):
        draws.weighted([("a", 0)])
