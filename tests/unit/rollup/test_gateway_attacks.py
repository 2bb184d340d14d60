"""Attempts to earn by the gateway, or to lock others' money in it: none of them does."""

from __future__ import annotations

from plimsoll.core.orders import Scope
from tests.support.core import ETH, L2_MESSENGER, LIMIT_ORDER, STOP_LOSS, WAD, Core, account_id, actor, deploy_core
from tests.support.evm import ZERO_ADDRESS, Evm, Halt, Revert, reverts
from tests.support.signed import Signed
from tests.unit.rollup.steps import (
    AGENT,
    CLAIMANT,
    L1_GATEWAY,
    aliased,
    appoint,
    arrive,
    check_tokens,
    credit,
    gateway_of,
)

ALL = 2**256 - 1
OWNER, THIEF = actor("owner"), actor("thief")
EVERYTHING = Scope(0xFFFF, 2**40 - 1, 2**64 - 1, may_match=True, may_take_over=True)
NOBODYS_SIGNATURE = b"\0" * 65
CREDIT_GAS = 200_000
"""What L1Gateway asks for: the messenger calls with no less."""


# --- the gateway's word ---


def test_gateways_word__beyond_what_it_asks_about__counts_nowhere(core: Core) -> None:
    """Were there a way to make the gateway call what one likes: it holds at the order book and for withdrawals only."""
    account, gateway = core.trader("owner", 10_000), gateway_of(core)
    core.enter(core.pool, account, 1_000)
    with reverts("MarginVault_NotOwner", account, gateway.address):
        core.vault.transfer(account, account_id(OWNER, 0, 1), 1, sender=gateway)
    for share_vault in (core.pool, core.fund):
        for ask in (share_vault.requestDeposit, share_vault.requestRedeem):
            with reverts("RequestVault_NotOwner", OWNER, gateway.address):
                ask(1, THIEF, OWNER, sender=gateway)
    with reverts("MarginVault_NotModule", gateway.address):
        core.vault.post([(account_id(THIEF), 1, 0, 0)], sender=gateway)
    core.check_sums()


def test_gateway_as_delegate__of_everything__lets_nobody_in(core: Core) -> None:
    account = core.trader("owner", 10_000)
    core.open(account, ETH, 2 * WAD)
    core.order_book.setDelegate(account, gateway_of(core), EVERYTHING, sender=OWNER)
    for order in (core.order(account, ETH, WAD), core.order(account, ETH, -WAD, reduce_only=True)):
        with reverts("L2Gateway_NotPermitted", account, THIEF):
            gateway_of(core).place(order, sender=THIEF)
    with reverts("L2Gateway_NotPermitted", account, THIEF):
        gateway_of(core).withdraw(account, 1, THIEF, sender=THIEF)


def test_gateways_own_account__is_nobodys(core: Core) -> None:
    """It is a contract, so that its signature is asked of it, and it never answers; nor has it an agent."""
    gateway = gateway_of(core)
    account = core.track(account_id(gateway))
    arrive(core, 1_000)
    credit(core, account, 1_000)
    order = core.order(account, ETH, WAD, expiry=core.evm.timestamp + 60)
    with reverts("OrderBook_NotPermitted", account, ZERO_ADDRESS):
        core.order_book.placeFor(order, NOBODYS_SIGNATURE)
    for caller in (THIEF, L2_MESSENGER, L1_GATEWAY, aliased(L1_GATEWAY)):
        with reverts("L2Gateway_NotPermitted", account, caller):
            gateway.withdraw(account, 1, caller, sender=caller)
    check_tokens(core)


def test_match__signed_by_nobody_where_there_is_no_gateway__is_refused(evm: Evm) -> None:
    """The zero address is the gateway there, and the signer of what nobody signed."""
    core = deploy_core(evm)
    signed = Signed(core)
    mine, hers = signed.trader("thief", 100_000), core.trader("owner", 100_000)
    taker = signed.limit(mine, ETH, WAD, core.prices[ETH])
    maker = signed.limit(hers, ETH, -WAD, core.prices[ETH])
    with reverts("OrderBook_NotPermitted", hers, ZERO_ADDRESS):
        core.order_book.matchOrders(maker, NOBODYS_SIGNATURE, taker, signed.order(taker), WAD)
    with reverts("OrderBook_BadSignature", hers):
        core.order_book.cancelAllFor(hers, 1, 0, NOBODYS_SIGNATURE)
    with reverts("OrderBook_BadSignature", hers):
        core.order_book.setDelegateFor(hers, THIEF, EVERYTHING, 0, 0, NOBODYS_SIGNATURE)


# --- the agent ---


def test_agent__orders_larger_than_the_position__never_turn_it(core: Core) -> None:
    """Each says that it only reduces, and together they are ten times what there is."""
    account = core.trader("owner", 100_000)
    core.open(account, ETH, 2 * WAD)
    appoint(core, OWNER)
    orders = [core.order(account, ETH, -10 * WAD, kind=LIMIT_ORDER, reduce_only=True) for _ in range(2)]
    orders.append(core.order(account, ETH, 10 * WAD, kind=LIMIT_ORDER, reduce_only=True))
    for order in orders:
        gateway_of(core).place(order, sender=AGENT)
    core.tick(2)
    for order in orders:
        core.execute(order)
    assert core.market.position(account, ETH)[0] == 0
    core.check_sums()


def test_agent__replaced_between_two_messages__the_second_is_refused(core: Core) -> None:
    """What he placed before stays, and the next one cancels it."""
    account = core.trader("owner", 10_000)
    core.open(account, ETH, 2 * WAD)
    appoint(core, OWNER)
    order = core.order(account, ETH, -2 * WAD, kind=STOP_LOSS, trigger=2_000 * WAD, reduce_only=True)
    gateway_of(core).place(order, sender=AGENT)
    appoint(core, OWNER, actor("next"), is_contract=True)
    with reverts("L2Gateway_NotPermitted", account, AGENT):
        gateway_of(core).withdraw(account, ALL, AGENT, sender=AGENT)
    gateway_of(core).cancel(order, sender=aliased(actor("next")))


def test_agent__of_a_thief__has_no_say_over_an_order_with_the_thiefs_parent(core: Core) -> None:
    """Only the account of the order itself is asked about, and its owner's agent is the one who must call."""
    account, mine = core.trader("owner", 10_000), core.trader("thief", 10_000)
    core.open(account, ETH, 2 * WAD)
    appoint(core, THIEF)
    parent = core.order(mine, ETH, WAD, kind=LIMIT_ORDER)
    core.place(parent)
    order = core.order(account, ETH, -WAD, kind=LIMIT_ORDER, reduce_only=True, parent=core.order_book.hashOf(parent))
    for call in (gateway_of(core).place, gateway_of(core).cancel):
        with reverts("L2Gateway_NotPermitted", account, AGENT):
            call(order, sender=AGENT)


# --- credits ---


def test_credit__any_gas__is_credited_or_reverts_the_whole(calm: Core) -> None:
    """Whoever relays it gives so little gas that the deposit runs out of it inside, so that it counts as refused."""
    messenger, gateway = calm.evm.at("MockMessenger", L2_MESSENGER), gateway_of(calm)
    account = calm.track(account_id(OWNER))
    arrive(calm, 1_000)
    data = gateway.credit.encode(account, 1_000, CLAIMANT)
    outcomes = set()
    for gas in range(40_000, 3 * CREDIT_GAS, 1_000):
        with calm.evm.isolated():
            try:
                messenger.relay(L1_GATEWAY, gateway, data, gas=gas)
            except (Revert, Halt, ValueError):
                assert gas < CREDIT_GAS
                outcomes.add("reverted")
            else:
                outcomes.add("credited")
                assert calm.cash(account) == 1_000 * calm.unit
            assert gateway.totalClaims() == 0
    assert outcomes == {"reverted", "credited"}


def test_credit__on_tokens_that_somebody_gave_away__leaves_as_many_behind(calm: Core) -> None:
    """The thief keeps his own tokens from being minted, and has his credit relayed on a gift. His own come in the end,
    as anyone may relay them; he has paid for what he got."""
    gateway = gateway_of(calm)
    calm.token.mint(gateway, 500)
    credit(calm, account_id(THIEF), 500)
    with reverts("L2Gateway_NotArrived", 0, 500):
        credit(calm, account_id(THIEF), 500)
    arrive(calm, 500)
    check_tokens(calm, outside=500)


def test_withdraw_to_the_gateway__at_the_vault_itself__becomes_no_claim(calm: Core) -> None:
    """Money that an owner sends there by himself is a gift: neither he nor a claimant takes it out again."""
    account, gateway = calm.trader("owner", 10), gateway_of(calm)
    calm.vault.withdraw(account, 1_000, gateway, sender=OWNER)
    for caller in (OWNER, CLAIMANT):
        with reverts("L2Gateway_NothingToClaim", account, caller):
            gateway.reclaim(account, caller, sender=caller)
    with reverts("MarginVault_InsufficientMargin", calm.amount(10) - 1_000, calm.amount(10)):
        gateway.withdraw(account, calm.amount(10), OWNER, sender=OWNER)
    check_tokens(calm, outside=1_000)


def test_retry__of_a_claim_by_the_thief__reaches_the_account_that_was_named_only(calm: Core) -> None:
    """A claim is of one account and one claimant: neither is the caller's choice."""
    account, gateway = account_id(OWNER), gateway_of(calm)
    calm.token.setBlacklisted(calm.vault, True)
    arrive(calm, 1_000)
    credit(calm, account, 1_000)
    calm.token.setBlacklisted(calm.vault, False)
    for named, claimant in ((account_id(THIEF), CLAIMANT), (account, THIEF), (account + 1, CLAIMANT)):
        with reverts("L2Gateway_NothingToClaim", named, claimant):
            gateway.retry(named, claimant, sender=THIEF)
    gateway.retry(account, CLAIMANT, sender=THIEF)
    assert calm.cash(calm.track(account)) == 1_000 * calm.unit
    check_tokens(calm)
