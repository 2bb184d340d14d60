"""Words, slots and sums over a model that has traded for a while."""

from __future__ import annotations

import dataclasses

import pytest
from eth_utils import keccak

from plimsoll.core.units import WAD
from plimsoll.replay.run import Check, Replay, SumsBroken
from plimsoll.replay.stored import Layout, Ledger, sums_of
from plimsoll.sdk.slots import slot_of
from tests.python.replay.setting import replay


@pytest.fixture(scope="module")
def traded() -> Replay:
    """After a crash in which accounts were liquidated."""
    done = replay(minutes=8)
    done.run()
    assert done.findings.events
    return done


@pytest.fixture(scope="module")
def check(traded: Replay) -> Check:
    return traded._check_of(8, None)


def changed(ledger: Ledger, account: int, cash: int) -> Ledger:
    return dataclasses.replace(ledger, balances=dict(ledger.balances) | {account: ledger.balances[account] + cash})


def test_slot_of__nested_mappings__hashes_from_the_outside_in() -> None:
    inner = keccak((7).to_bytes(32, "big") + (4).to_bytes(32, "big"))
    assert slot_of(4, 7, 2) == int.from_bytes(keccak((2).to_bytes(32, "big") + inner), "big")


def test_read__words_in_the_order_of_the_slots__the_same_ledger(check: Check) -> None:
    layout, ledger = check.layout, check.ledger
    vault = [ledger.balances[account] for account in layout.accounts]
    market = [word for words in ledger.markets.values() for word in words]
    market += [word for holding in layout.holdings for word in ledger.positions[holding]]
    assert len(vault) == len(layout.vault_slots)
    assert len(market) == len(layout.market_slots) == len(set(layout.market_slots))
    assert layout.read(vault, market) == ledger
    assert not ledger.differences(layout.read(vault, market))


def test_read__closed_position__what_is_left_in_its_second_word_means_nothing(check: Check) -> None:
    layout = Layout([], [check.layout.holdings[0]], [])
    assert layout.read([], [0, 77]).positions == {check.layout.holdings[0]: (0, 0)}
    assert layout.read([], [1, 77]).positions == {check.layout.holdings[0]: (1, 77)}


def test_differences__a_word_of_each_kind__names_whose_it_is(check: Check) -> None:
    ledger = check.ledger
    account = check.layout.accounts[3]
    assert changed(ledger, account, 1).differences(ledger) == {account}
    holding = check.layout.holdings[5]
    moved = dataclasses.replace(ledger, positions=dict(ledger.positions) | {holding: (1, 1)})
    assert moved.differences(ledger) == {holding[0]}
    words = (*ledger.markets[2][:4], 0)
    assert dataclasses.replace(ledger, markets=dict(ledger.markets) | {2: words}).differences(ledger) == {-2}


def test_part__some_accounts__their_words_and_no_market(check: Check, traded: Replay) -> None:
    wanted = check.layout.accounts[:2]
    part = check.layout.part(wanted)
    assert part.accounts == wanted
    assert {account for account, _ in part.holdings} <= set(wanted)
    assert not part.market_ids
    ledger = part.expected(traded.mirror.model)
    assert ledger.balances == {account: check.ledger.balances[account] for account in wanted}


def test_sums_of__ledger_of_the_model__agrees_with_the_models_own_sums(check: Check, traded: Replay) -> None:
    sums = check.add_up(check.ledger, check.tokens)
    assert set(sums.base.values()) == {0}
    own = traded.mirror.model.check_sums(traded.mirror.now)
    assert 0 <= sums.dust <= own.highest
    assert -sums.dust - sums.rounding <= sums.equity <= -sums.dust


def test_sums_of__every_position_and_pool__counts_as_rounding(check: Check) -> None:
    held = sum(1 for words in check.ledger.positions.values() if words[0])
    sums = sums_of(check.ledger, check.tokens, check.prices, check.ends)
    assert sums.rounding == held + 2


@pytest.mark.parametrize(("cash", "what"), [(10**7, "less claims are -"), (-(10**7), "less claims are ")])
def test_add_up__cash_from_nowhere__names_the_minute_and_the_figures(check: Check, cash: int, what: str) -> None:
    account = next(one for one, word in check.ledger.balances.items() if 10**18 < word % 2**128 < 2**127)
    with pytest.raises(SumsBroken, match=f"^minute 8: tokens in the vault {what}"):
        check.add_up(changed(check.ledger, account, cash), check.tokens)


def test_add_up__base_from_nowhere__names_the_market(check: Check) -> None:
    holding, words = next(
        (key, words) for key, words in check.ledger.positions.items() if 0 < words[0] % 2**128 < 2**127
    )
    positions = dict(check.ledger.positions) | {holding: (words[0] + 5, words[1])}
    with pytest.raises(SumsBroken, match=f"minute 8: Σ base of market {holding[1]} is 5 wei"):
        check.add_up(dataclasses.replace(check.ledger, positions=positions), check.tokens)


def test_add_up__tokens_gone__breaks(check: Check) -> None:
    with pytest.raises(SumsBroken):
        check.add_up(check.ledger, check.tokens - WAD)


def test_layout__twice_the_same__slots_are_the_same(check: Check) -> None:
    again = Layout(check.layout.accounts, check.layout.holdings, check.layout.market_ids)
    assert again.market_slots == check.layout.market_slots
