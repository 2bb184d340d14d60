"""Receipts without a chain: liquidations that the model did, told as events, are right; with any figure altered not."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pytest

from plimsoll.core.units import WAD
from plimsoll.risk.config import Gas
from plimsoll.sdk.events import (
    Absorbed,
    Deleveraged,
    Deposited,
    FeesSwept,
    Filled,
    GasMarketChanged,
    Happened,
    Liquidated,
    OrdersMatched,
    PoolCharged,
    PositionAbsorbed,
    Posted,
    PriceRecorded,
    SideCharged,
    TakenOver,
    Traded,
    Transferred,
    Withdrawn,
)
from plimsoll.sdk.receipts.figures import Checked, in_words
from plimsoll.sdk.receipts.receipt import BY_EVENTS, NOTHING_BEFORE, Receipt, examine
from plimsoll.sdk.receipts.shown import receipt_json, receipt_lines, verdict
from plimsoll.sdk.receipts.steps import Disordered, Step, steps_in
from plimsoll.sdk.receipts.words import BALANCE, CONFIG, END, MARKET, POSITION, Facts, Key, end_keys, state_of, words_of
from tests.python.risk.setting import ACCOUNT, ETH, KEEPER_ACCOUNT, NOW, OTHER_ACCOUNT, buy, deployed
from tests.python.sdk.narrated import TX, Narrator, crashed

SIZE = 40 * WAD


def unhealthy() -> Narrator:
    """$40,000 long at 20x, and a price 3% lower: below maintenance, but not bankrupt."""
    return crashed(970 * WAD, cash=2_100 * WAD, size=SIZE)


def bankrupt() -> Narrator:
    return crashed(940 * WAD, cash=2_100 * WAD, size=SIZE)


def close_out() -> Narrator:
    narrator = unhealthy()
    narrator.close_out()
    return narrator


def take_over() -> Narrator:
    narrator = unhealthy()
    narrator.take_over(10 * WAD)
    return narrator


def absorption() -> Narrator:
    narrator = bankrupt()
    narrator.absorb()
    return narrator


def drowned() -> Narrator:
    """A debt of $21,900: the fund has a thousand, the pool six, and $14,900 are the shorts' to pay."""
    narrator = crashed(400 * WAD, cash=2_100 * WAD, size=SIZE, others=60 * WAD)
    state, market = narrator.state, narrator.state.markets[ETH]
    pool = market.pool_account
    for account, left in ((state.fund_account, 1_000 * WAD), (pool, 6_000 * WAD)):
        has = market.capital(state.cash_of(pool), 400 * WAD) if account == pool else state.cash_of(account)
        state.credit(account, left - has)
        state.credit(KEEPER_ACCOUNT, has - left)
    return Narrator(narrator.protocol, narrator.now)


def drowning() -> Narrator:
    narrator = drowned()
    narrator.absorb()
    return narrator


def check(narrator: Narrator, records: Sequence[Happened] | None = None) -> tuple[Checked, ...]:
    found = narrator.records if records is None else records
    return examine(narrator.told, steps_in(found), found, narrator.keys, Gas())


KINDS = pytest.mark.parametrize("make", [close_out, take_over, absorption, drowning])


@KINDS
def test_examine__what_the_model_did__is_right_to_the_last_word(make: Callable[[], Narrator]) -> None:
    narrator = make()
    [checked] = check(narrator)
    assert checked.is_right, (checked.wrong, checked.refused, checked.differ)
    assert checked.words == len(narrator.keys)
    assert words_of(narrator.told.state, narrator.keys) == words_of(narrator.state, narrator.keys)


FIELDS = {
    Liquidated: [
        ("base", "size closed"),
        ("quote", "fill sum"),
        ("health_price", "health price"),
        ("published_at", "publish time"),
        ("equity", "equity"),
        ("maintenance", "requirement"),
        ("cost", "cost"),
        ("reward", "of it to the keeper"),
        ("top_up", "fund's top-up of the keeper"),
    ],
    TakenOver: [
        ("base", "sum for it"),
        ("quote", "sum for it"),
        ("health_price", "health price"),
        ("published_at", "publish time"),
        ("equity", "equity"),
        ("maintenance", "requirement"),
        ("discount", "discount in it"),
        ("fee", "taker's fee"),
    ],
    Absorbed: [("equity", "equity"), ("reward", "keeper's reward, from the fund")],
}
CASES = [
    pytest.param(make, kind, field, name, id=f"{kind.__name__}.{field}")
    for make, kind in ((close_out, Liquidated), (take_over, TakenOver), (absorption, Absorbed))
    for field, name in FIELDS[kind]
]


@pytest.mark.parametrize(("make", "kind", "field", "name"), CASES)
def test_examine__one_wei_off_in_a_figure__is_found(
    make: Callable[[], Narrator], kind: type[Happened], field: str, name: str
) -> None:
    narrator = make()
    tampered = [
        dataclasses.replace(one, **{field: getattr(one, field) + 1}) if isinstance(one, kind) else one
        for one in narrator.records
    ]
    [checked] = check(narrator, tampered)
    assert not checked.is_right
    assert name in [figure.name for figure in checked.wrong]


@pytest.mark.parametrize(
    ("field", "name"),
    [("debt", "debt"), ("by_fund", "borne by the insurance fund"), ("by_pool", "charged to the pool")],
)
def test_examine__a_debt_borne_by_others__is_found(field: str, name: str) -> None:
    narrator = absorption()
    *records, debt = narrator.records
    [checked] = check(narrator, [*records, dataclasses.replace(debt, **{field: getattr(debt, field) + 5})])
    assert [figure.name for figure in checked.wrong] == [name]


def test_examine__a_debt_that_a_side_bears__is_told_and_judged() -> None:
    narrator = drowning()
    [charged] = [one for one in narrator.records if isinstance(one, SideCharged)]
    assert 14_000 * WAD < charged.amount < 15_500 * WAD
    [checked] = check(narrator)
    assert checked.is_right
    figures = {figure.name: figure for figure in checked.figures}
    said = figures["of it borne by the other side"]
    assert (said.said, said.found) == (charged.amount, charged.amount)
    tampered = [dataclasses.replace(one, amount=one.amount - 1) if one is charged else one for one in narrator.records]
    [checked] = check(narrator := drowning(), tampered)
    assert [figure.name for figure in checked.wrong] == ["of it borne by the other side"]
    assert checked.differ


@KINDS
def test_examine__an_account_gets_another_sum__is_found_wherever_it_is_posted(make: Callable[[], Narrator]) -> None:
    places = [place for place, one in enumerate(make().records) if isinstance(one, Posted)]
    assert places
    for place in places:
        narrator = make()
        posted = narrator.records[place]
        assert isinstance(posted, Posted)
        narrator.records[place] = dataclasses.replace(posted, balance=posted.balance + 1)
        [checked] = check(narrator)
        last = all(
            not isinstance(one, Posted) or one.account != posted.account for one in narrator.records[place + 1 :]
        )
        assert checked.is_right is not last
        if last:
            assert in_words(Key(BALANCE, (posted.account,))) in checked.differ


def test_examine__the_debt_is_not_told_of__is_found() -> None:
    narrator = absorption()
    [checked] = check(narrator, narrator.records[:-3])
    names = [figure.name for figure in checked.wrong]
    assert names[:2] == ["debt", "borne by the insurance fund"]


def test_examine__of_a_healthy_account__says_what_the_rules_answer() -> None:
    narrator = close_out()
    narrator.told.state.credit(ACCOUNT, 5_000 * WAD)
    [checked] = check(narrator)
    assert checked.refused.startswith(f"Liquidator_Healthy({ACCOUNT}, ")
    assert not checked.is_right


def test_examine__two_in_a_transaction__the_second_after_the_first() -> None:
    narrator = unhealthy()
    narrator.take_over(10 * WAD)
    narrator.close_out()
    first, second = check(narrator)
    assert (first.step.kind, second.step.kind) == ("take-over", "close-out")
    assert first.is_right
    assert second.is_right
    assert second.step.start == first.step.end


def test_examine__a_taker_without_margin__is_judged_at_the_end() -> None:
    """As in a flash take-over: nothing is wrong where the margin is there once all is told, and else it is."""
    narrator = take_over()
    taker = narrator.told.state.changed_account(OTHER_ACCOUNT)
    for record in narrator.records:
        if isinstance(record, Posted) and record.account == OTHER_ACCOUNT:
            poor = record.unpacked.cash
    taker.cash -= poor
    narrator.records = [
        dataclasses.replace(one, balance=one.balance - poor)
        if isinstance(one, Posted) and one.account == OTHER_ACCOUNT
        else one
        for one in narrator.records
    ]
    [checked] = check(narrator)
    assert checked.judged_later == OTHER_ACCOUNT
    assert checked.wrong == []
    assert checked.refused.startswith("PerpMarket_InsufficientMargin(")


# --- steps -------------------------------------------------------------------------------------------------------


def test_steps_in__what_was_before_is_none_of_it() -> None:
    narrator = unhealthy()
    narrator.say(Deposited, account=ACCOUNT, from_="0x", amount=0, cash=narrator.protocol.cash_of(ACCOUNT))
    narrator.post(ACCOUNT)
    narrator.close_out()
    [step] = steps_in(narrator.records)
    assert [type(one).__name__ for one in narrator.records[step.start : step.end]] == [
        "Accrued", "Posted", "Posted", "Posted", "Filled", "Liquidated",
    ]  # fmt: skip
    assert step.start == 2


@pytest.mark.parametrize("is_filled", [True, False])
def test_steps_in__nothing_for_the_pool__begins_with_the_fill_where_there_is_one(is_filled: bool) -> None:
    """A position of which deleveraging left nothing is filled with nothing; one that goes to the side is not filled."""
    records = [
        dataclasses.replace(one, base=0) if isinstance(one, PositionAbsorbed | Filled) else one
        for one in absorption().records
    ]
    accrued, posted, filled, *rest = records
    if not is_filled:
        records = [posted, filled, accrued, *rest]
    [step] = steps_in(records)
    assert step.start == (0 if is_filled else 2)


@KINDS
def test_steps_in__without_its_fill__is_disordered(make: Callable[[], Narrator]) -> None:
    records = [one for one in make().records if type(one).__name__ != "Filled"]
    with pytest.raises(Disordered, match="without"):
        steps_in(records)


def test_steps_in__postings_or_positions_missing__is_disordered() -> None:
    with pytest.raises(Disordered, match="Filled without its 3 Posted"):
        steps_in([one for one in close_out().records if not isinstance(one, Posted)])
    with pytest.raises(Disordered, match="without a PositionAbsorbed"):
        steps_in([one for one in absorption().records if type(one).__name__ != "PositionAbsorbed"])


# --- what events tell --------------------------------------------------------------------------------------------


def test_tell__money_and_prices__as_they_say() -> None:
    narrator = unhealthy()
    told, state = narrator.told, narrator.told.state
    market, cash = state.markets[ETH], state.cash_of(ACCOUNT)
    narrator.say(Deposited, account=KEEPER_ACCOUNT, from_="0x", amount=1, cash=7 * WAD)
    narrator.say(Withdrawn, account=KEEPER_ACCOUNT, to="0x", amount=1, cash=5 * WAD)
    narrator.say(Transferred, from_=KEEPER_ACCOUNT, to=ACCOUNT, amount=2_000_000)
    narrator.say(PoolCharged, market_id=ETH, amount=3, pool_quote=-11)
    narrator.say(GasMarketChanged, market_id=2)
    narrator.say(
        PriceRecorded,
        market_id=ETH,
        price=5,
        confidence=1,
        published_at=NOW + 11,
        state=0,
        sequence=9,
        sources=7,
    )
    told.tell_all(narrator.records)
    assert state.cash_of(KEEPER_ACCOUNT) == 3 * WAD
    assert state.cash_of(ACCOUNT) == cash + 2 * WAD
    assert (market.pool_quote, state.liquidation_params.gas_market) == (-11, 2)
    assert market.newest == (5, 1, NOW + 11, 0, 9)


def test_tell__trades_matches_and_sweeps__what_fees_wait() -> None:
    narrator = unhealthy()
    market, before = narrator.told.state.markets[ETH], narrator.told.state.markets[ETH].unswept_insurance
    narrator.say(
        OrdersMatched,
        maker_hash=b"",
        taker_hash=b"",
        market_id=ETH,
        maker_account=1,
        taker_account=2,
        base=WAD,
        quote=-WAD,
        maker_fee=3_000,
        taker_fee=7_000,
        execution_fee=0,
    )
    narrator.told.tell_all(narrator.records)
    assert market.unswept_insurance == before + 2_000
    assert narrator.told.unsure == set()
    narrator.say(
        Traded,
        account=ACCOUNT,
        market_id=ETH,
        base=-SIZE,
        quote=WAD,
        fill_price=1,
        fee=10_000,
        new_base=0,
        new_quote=0,
    )
    narrator.told.tell(narrator.records[-1])
    assert (market.long, market.unswept_insurance) == (0, before + 4_000)
    assert narrator.told.unsure == {ETH}
    narrator.say(FeesSwept, market_id=ETH, insurance=before + 4_000, treasury=1)
    narrator.told.tell(narrator.records[-1])
    assert (market.unswept_insurance, market.unswept_treasury, narrator.told.unsure) == (0, 0, set())


@pytest.mark.parametrize("is_after", [False, True])
def test_tell__deleveraging_before_or_after_the_fill_of_a_trade__the_position_is_of_its_time(is_after: bool) -> None:
    """A trade's own event comes last, also where what it made due was closed after its fill."""
    narrator = crashed(1_000 * WAD, cash=50_000 * WAD, size=SIZE)
    protocol, state = narrator.protocol, narrator.state
    narrator.accrue()
    market, fraction = state.markets[ETH], WAD // 4

    def deleverage() -> None:
        done = protocol.deleverage_event(ETH, 1, fraction, 1_000 * WAD, now=narrator.now)
        narrator.say(
            Deleveraged,
            market_id=ETH,
            is_long=True,
            fraction=fraction,
            price=1_000 * WAD,
            cut=done.cut,
            flow=done.flow,
        )

    if not is_after:
        deleverage()
    trade = buy(protocol, WAD, account=OTHER_ACCOUNT, now=narrator.now)
    held = market.positions[OTHER_ACCOUNT]
    base, quote = held.base, held.quote
    if is_after:
        deleverage()
    narrator.post(OTHER_ACCOUNT, KEEPER_ACCOUNT)
    narrator.say(
        Traded,
        account=OTHER_ACCOUNT,
        market_id=ETH,
        base=WAD,
        quote=trade.quote,
        fill_price=trade.price,
        fee=trade.fee,
        new_base=base,
        new_quote=quote,
    )
    narrator.told.tell_all(narrator.records)
    assert words_of(narrator.told.state, narrator.keys) == words_of(state, narrator.keys)


# --- words -------------------------------------------------------------------------------------------------------


def test_state_of__words_of_a_state__the_same_words() -> None:
    protocol = deployed()
    buy(protocol, SIZE)
    buy(protocol, -3 * WAD, account=OTHER_ACCOUNT)
    protocol.deleverage_event(ETH, 1, WAD, 1_000 * WAD, now=NOW)
    narrator = Narrator(protocol, NOW)
    words = words_of(protocol.state, narrator.keys)
    words |= {Key(CONFIG, (ETH,), place): 10**6 * WAD if place == 1 else 0 for place in range(3)}
    ends = list(end_keys(words))
    assert ends == [Key(END, (ETH, 1, 0))]
    g, k = protocol.state.markets[ETH].ends_long[0]
    words[ends[0]] = g & 2**128 - 1 | k << 128
    market = protocol.state.markets[ETH]
    facts = Facts(protocol.state.pool, protocol.state.fund, 6, 0, {ETH: market.newest}, {ETH: (1, 2, 3, 4)})
    state = state_of(words, facts)
    assert words_of(state, narrator.keys) == words_of(protocol.state, narrator.keys)
    assert state.view(state.markets[ETH], ACCOUNT, NOW) == protocol.position(ACCOUNT, ETH, NOW)
    assert (state.markets[ETH].moved_since, state.markets[ETH].absorbed) == (1, 4)
    assert state.unit == 10**12


def test_in_words__each_kind_of_word__is_named() -> None:
    assert in_words(Key(BALANCE, (16,))) == "balance of 0x10"
    assert in_words(Key(POSITION, (16, 2), 1)) == "position of 0x10 in market 2 (accumulators)"
    assert in_words(Key(MARKET, (2,), 3)) == "market 2 (pool's quote and rate)"


# --- showing -----------------------------------------------------------------------------------------------------


def receipt(checked: tuple[Checked, ...], **rest: object) -> Receipt:
    return Receipt(TX, 7, NOW, checked, NOTHING_BEFORE, **rest)  # type: ignore[arg-type]


def name(market_id: int) -> str:
    return "ETH/USD"


def test_receipt_lines__right__a_table_and_the_verdict() -> None:
    text = "\n".join(receipt_lines(receipt(check(absorption()), words=12), name))
    assert "WRONG" not in text
    assert "absorption of 0x" in text
    assert "size to the pool in ETH/USD" in text
    assert text.endswith("right        1 liquidation, 12 figures as the rules make them")


def test_receipt_lines__wrong__the_figure_and_by_how_little() -> None:
    narrator = close_out()
    records = [
        dataclasses.replace(one, equity=one.equity + 1) if isinstance(one, Liquidated) else one
        for one in narrator.records
    ]
    found = receipt(check(narrator, records))
    text = "\n".join(receipt_lines(found, name))
    assert "WRONG, by 1 wei" in text
    assert text.endswith("WRONG        1 of 1 liquidation not as the rules make them")
    data = receipt_json(found)
    assert data["right"] is False
    [wrong] = [one for one in data["liquidations"][0]["figures"] if not one["right"]]
    assert (wrong["name"], int(wrong["said"]) - int(wrong["recomputed"])) == ("equity", 1)


def test_verdict__what_is_stored_differs__is_wrong_all_the_same() -> None:
    found = receipt(check(close_out()), stored=("balance of 0x1",))
    assert not found.is_right
    assert verdict(found).startswith("WRONG        1 liquidation as the rules make them, but the block ends otherwise")
    assert any("another balance of 0x1 is stored" in line for line in receipt_lines(found, name))


def test_verdict__figures_differ_and_the_state_is_not_known_exactly__is_undecided() -> None:
    narrator = close_out()
    narrator.told.state.credit(ACCOUNT, 1)
    found = dataclasses.replace(receipt(check(narrator), doubts=("no trace",), earlier=3), known=BY_EVENTS)
    assert not found.is_decided
    assert verdict(found).startswith("undecided")
    assert "not confirmed" in "\n".join(receipt_lines(found, name))


def test_receipt_lines__disordered_events__are_wrong() -> None:
    found = receipt((), disordered="Liquidated without the Filled that it stands for")
    assert not found.is_right
    assert list(receipt_lines(found, name))[-1].startswith("WRONG")


def test_step__kinds__in_words() -> None:
    kinds = {make: [Step(one.step.main, 0, 0).kind for one in check(make())] for make in (close_out, take_over)}
    assert kinds == {close_out: ["close-out"], take_over: ["take-over"]}
