"""What is let into the book: a signed limit order that the contracts would match now, as far as anybody can know.

In the order of the specification's section 7 ("Matching"): terms, liveness, signature, budget, band; then both what
the account may hold and whether it carries the margin of all its open orders at once.
"""

from __future__ import annotations

from typing import NamedTuple

from eth_utils import keccak

from plimsoll.book.facts import AccountFacts, Facts, MarketFacts
from plimsoll.book.margin import Open, charges, free_after, quote_of
from plimsoll.book.refused import BAD_REQUEST, CONFLICT, FORBIDDEN, UNAVAILABLE, UNPROCESSABLE, Refused
from plimsoll.core import ids
from plimsoll.core.orders import COUNTER_SHIFT, NO_PARENT, Order, OrderKind, TimeInForce
from plimsoll.core.units import WAD, format_usd, format_wad
from plimsoll.risk import margin
from plimsoll.risk.delegates import MIN_BUDGET_USE
from plimsoll.risk.oracle import OPEN
from plimsoll.risk.state import MAX_MARKETS_PER_ACCOUNT
from plimsoll.sdk.signed import MAX_SIGNATURE_BYTES
from plimsoll.sdk.signing import Domain, digest_of, order_hash, recover_digest

MAX_BASE = 2**96 - 1
"""What the contracts can remember as matched of an order."""
MAX_PRICE = 2**96 - 1
MAX_OPEN_ORDERS = 1_000
"""Of one account."""
LEAD_SECONDS = 2
"""How much later than the newest block a match is on the chain, at the earliest."""

_RESTS = (TimeInForce.GOOD_TILL_TIME, TimeInForce.POST_ONLY)


class Signed(NamedTuple):
    """An order with its hash, and who signed it by the curve: None where nobody did, who may still be a wallet."""

    order: Order
    signature: bytes
    hash: bytes
    digest: bytes
    recovered: int | None

    @property
    def owner(self) -> int:
        return self.order.account >> 96

    @property
    def word(self) -> bytes:
        """The key of a wallet's answer to whether the signature is its own."""
        return keccak(self.digest + self.signature)


def signed(order: Order, signature: bytes, domain: Domain) -> Signed:
    """Hash an order and recover its signer. Raises Refused for fields out of range."""
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise _bad("signature", f"is longer than {MAX_SIGNATURE_BYTES} bytes")
    try:
        hash_ = order_hash(order)
    except OverflowError as error:
        raise _bad("order", f"has a field out of range: {error}") from None
    digest = digest_of(hash_, domain)
    recovered = recover_digest(digest, signature)
    return Signed(order, signature, hash_, digest, None if recovered is None else int(recovered, 16))


def is_known(one: Signed, facts: Facts) -> bool:
    """Whether the facts are enough to judge it: its account and, unless its owner's key signed, who may sign for it."""
    account, owner = one.order.account, one.owner
    if one.recovered != owner:
        if owner not in facts.wallets or (facts.wallets[owner] and one.word not in facts.words):
            return False
        needs_delegate = not (facts.wallets[owner] and facts.words[one.word])
        if needs_delegate and one.recovered is not None and (account, one.recovered) not in facts.delegates:
            return False
    return facts.account(account) is not None


def admit(one: Signed, facts: Facts, open_: Open) -> int:
    """Who signed, as the contracts see it. `is_known` must be true. Raises Refused."""
    order = one.order
    require_terms(order)
    market = _market(order, facts)
    account = facts.account(order.account)
    assert account is not None
    _require_steps(order, market, account)
    _require_alive(one, facts, account)
    signer = require_signer(one, facts)
    _require_budget(order, signer, market, facts)
    _require_price(order, market, facts.now)
    _require_may_hold(order, market, account, facts)
    if open_.count(order.account) >= MAX_OPEN_ORDERS:
        raise Refused(CONFLICT, "too_many_orders", f"the account has {MAX_OPEN_ORDERS} open orders; cancel some first")
    _require_backed(order, market, account, facts, open_)
    return signer


def require_terms(order: Order) -> None:
    """What could be matched at any time."""
    if order.kind != OrderKind.LIMIT:
        raise _bad("order.kind", "only limit orders (1) are matched; place others on the chain")
    if order.parent != NO_PARENT:
        raise _bad("order.parent", "an order that is matched has no parent")
    if order.trigger_price:
        raise _bad("order.triggerPrice", "a limit order has no trigger price")
    if not 0 < abs(order.base) <= MAX_BASE:
        raise _bad("order.base", "is zero or out of range")
    if not 0 < order.acceptable_price <= MAX_PRICE:
        raise _bad("order.acceptablePrice", "is zero or out of range")
    if not order.account >> 96:
        raise _bad("order.account", "has no owner in its upper 160 bits")
    if ids.isolated_market_of(order.account) not in (ids.CROSS, order.market_id):
        isolated = ids.isolated_market_of(order.account)
        raise _bad("order.account", f"is isolated in market {isolated} and can't hold market {order.market_id}")


def _market(order: Order, facts: Facts) -> MarketFacts:
    market = facts.markets.get(order.market_id)
    if market is None:
        raise _bad("order.marketId", f"there is no book of market {order.market_id}")
    if order.account >> 64 & ids.MAX_MARKET == 0 and market.model.rules.params.isolated_only:
        raise _bad("order.account", f"market {order.market_id} can only be held in an isolated account")
    return market


def _require_steps(order: Order, market: MarketFacts, account: AccountFacts) -> None:
    terms = market.terms
    if order.acceptable_price % terms.tick:
        raise _bad("order.acceptablePrice", f"is no multiple of the tick, {format_wad(terms.tick, 18).rstrip('0')}")
    if order.base == -account.base(order.market_id):
        return  # all of a position may go, whatever its size
    if order.base % terms.lot:
        raise _bad("order.base", f"is no multiple of the lot, {format_wad(terms.lot, 18).rstrip('0')}")
    notional = abs(order.base) * order.acceptable_price // WAD
    if notional < terms.min_notional:
        least = format_usd(terms.min_notional)
        raise _bad("order.base", f"is worth {format_usd(notional)} at its price; the least is {least}")


def _require_alive(one: Signed, facts: Facts, account: AccountFacts) -> None:
    order = one.order
    if order.expiry and order.expiry < facts.now + LEAD_SECONDS:
        message = f"expires at {order.expiry}, and the chain's time is {facts.now}"
        raise Refused(UNPROCESSABLE, "expired", message, "order.expiry")
    if order.salt >> COUNTER_SHIFT != account.counter:
        message = f"the salt's upper half is {order.salt >> COUNTER_SHIFT}; the account's counter is {account.counter}"
        raise Refused(CONFLICT, "wrong_counter", message, "order.salt")
    matched = facts.matched.get(one.hash, 0)
    is_over = matched >= abs(order.base) or (matched and order.time_in_force == TimeInForce.IMMEDIATE_OR_CANCEL)
    if one.hash in facts.spent or is_over:
        message = "was placed, cancelled or filled on the chain; sign it again with another salt"
        raise Refused(CONFLICT, "already_used", message, "order")


def require_signer(one: Signed, facts: Facts) -> int:
    """The owner, or a delegate who may match in the market now. Raises Refused."""
    owner, signer = one.owner, one.recovered
    if signer == owner or (facts.wallets.get(owner) and facts.words.get(one.word)):
        return owner
    if signer is None:
        raise Refused(FORBIDDEN, "bad_signature", "is no signature of the account's owner", "signature")
    delegate = facts.delegates.get((one.order.account, signer))
    if delegate is None or not delegate.scope.covers(one.order.market_id, facts.now):
        message = f"is by 0x{signer:040x}, who is neither the account's owner nor a delegate for this market"
        raise Refused(FORBIDDEN, "not_permitted", message, "signature")
    if not delegate.scope.may_match:
        message = f"the delegate 0x{signer:040x} may not match"
        raise Refused(FORBIDDEN, "not_permitted", message, "signature")
    return signer


def _require_budget(order: Order, signer: int, market: MarketFacts, facts: Facts) -> None:
    if signer == order.account >> 96:
        return
    notional = -(-abs(order.base) * market.price // WAD)
    wanted = max(-(-notional // WAD), MIN_BUDGET_USE)
    left = facts.delegates[order.account, signer].left(facts.now)
    if wanted > left:
        message = f"counts for ${wanted:,} of the delegate's budget, and ${left:,} is left today"
        raise Refused(FORBIDDEN, "budget_exceeded", message, "order.base")


def _require_price(order: Order, market: MarketFacts, now: int) -> None:
    if not market.model.is_fresh(now + LEAD_SECONDS):
        message = f"market {order.market_id} has no fresh index price; try again when one is recorded"
        raise Refused(UNAVAILABLE, "stale_price", message)
    low, high = market.band
    beyond = order.acceptable_price > high if order.is_buy else order.acceptable_price < low
    if beyond and order.time_in_force in _RESTS:
        edge = f"at most {format_usd(high)}" if order.is_buy else f"at least {format_usd(low)}"
        message = f"would rest where nothing is matched: {edge} now, or immediate or cancel"
        raise Refused(UNPROCESSABLE, "outside_band", message, "order.acceptablePrice")


def _require_may_hold(order: Order, market: MarketFacts, account: AccountFacts, facts: Facts) -> None:
    """The rules of the account's position after a fill of all of the order alone."""
    model, held = market.model, account.base(order.market_id)
    after = held + order.base
    if account.increases(order.market_id, order.base):
        if order.reduce_only:
            message = f"reduces more than the position of {format_wad(held, 6)}"
            raise Refused(UNPROCESSABLE, "nothing_to_reduce", message, "order.base")
        newest = model.newest
        if newest is None or newest.state != OPEN or facts.now < model.halt_until:
            message = f"market {order.market_id} takes no new risk now"
            raise Refused(UNAVAILABLE, "opening_halted", message)
        if not held and len(account.positions) >= MAX_MARKETS_PER_ACCOUNT:
            message = f"the account holds positions in {MAX_MARKETS_PER_ACCOUNT} markets already"
            raise Refused(UNPROCESSABLE, "too_many_markets", message, "order.marketId")
        for other in account.positions:
            if other != order.market_id and not facts.markets[other].model.is_fresh(facts.now + LEAD_SECONDS):
                message = f"the account's market {other} has no fresh index price"
                raise Refused(UNAVAILABLE, "stale_price", message)
        _require_interest(order, market, held, after)
    notional = abs(after) * market.price // WAD
    if after and notional < model.rules.min_position:
        least = format_usd(model.rules.min_position)
        message = f"would leave a position of {format_usd(notional)}; the minimum is {least}"
        raise Refused(UNPROCESSABLE, "below_minimum_position", message, "order.base")


def _require_interest(order: Order, market: MarketFacts, held: int, after: int) -> None:
    """Open interest of the side that grows, as if the other party took nothing off it."""
    model, price = market.model, market.price
    if order.is_buy:
        side = model.long + max(after, 0) - max(held, 0)
    else:
        side = model.short + max(-after, 0) - max(-held, 0)
    capital = max(0, model.capital(market.pool_cash, price))
    limit = capital * model.rules.params.open_interest_bps // 10_000
    if (notional := margin.notional(side, price)) > limit:
        message = f"open interest would be {format_usd(notional)}; the limit is {format_usd(limit)}"
        raise Refused(UNPROCESSABLE, "open_interest_limit", message, "order.base")


def _require_backed(order: Order, market: MarketFacts, account: AccountFacts, facts: Facts, open_: Open) -> None:
    """All open orders of the side, this one included, can be filled at once."""
    side = open_.side(order.account, order.market_id, order.is_buy)
    side = side.plus(abs(order.base), order.acceptable_price, order.reduce_only)
    held = account.base(order.market_id)
    if order.reduce_only:
        if side.reducing > abs(held):
            message = (
                f"reduce-only orders of {format_wad(side.reducing, 6)} in all, on a position of {format_wad(held, 6)}"
            )
            raise Refused(UNPROCESSABLE, "nothing_to_reduce", message, "order.base")
        return
    size = side.size if order.is_buy else -side.size
    if not account.increases(order.market_id, size):
        return
    params, fee = market.model.rules.params, market.model.order_params.execution_fee
    charge = charges(side, params.taker_bps, fee)
    free = free_after(facts, account, order.market_id, size, quote_of(side, order.is_buy), charge)
    if free.available < free.required:
        message = (
            f"the account has {format_usd(free.available)} of margin and needs {format_usd(free.required)} "
            "for this and its other open orders on the side"
        )
        raise Refused(UNPROCESSABLE, "insufficient_margin", message, "order.base")


def _bad(field: str, message: str) -> Refused:
    return Refused(BAD_REQUEST, "bad_request", f"{field} {message}", field)
