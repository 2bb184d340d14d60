"""`ape run trade`: what its commands do and print, on deployed contracts in this process.

ape's own part, which finds the network and the account, is left out here; the integration tests have it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from plimsoll.core.errors import run_command
from plimsoll.core.units import WAD
from plimsoll.sdk import deployments
from plimsoll.sdk.client import Plimsoll
from plimsoll.sdk.order_book import OrderStatus
from plimsoll.sdk.signed import signed_from_json
from scripts import _trading, trade
from tests.support.core import ETH
from tests.support.deployment import MARKETS, World

Run = Callable[..., Result]


@dataclass
class Found:
    """A deployment's record."""

    world: World
    markets: dict[str, int] = field(default_factory=lambda: dict(MARKETS))

    def on(self, chain: object) -> object:
        return self.world.contracts


@pytest.fixture
def trader(world: World) -> Plimsoll:
    return world.trader("trader", 10_000)


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command line; `--account` is the name of one of the world's signers, "trader" where there is none."""
    monkeypatch.setattr(_trading, "connected_chain", lambda: world.chain)
    monkeypatch.setattr(_trading, "_signer", lambda chain, account, key_env: world.signer(account or "trader"))
    monkeypatch.setattr(deployments, "find", lambda chain, folder: Found(world))

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        group: click.Group = trade.cli
        names = list(arguments)
        command = group.commands[names.pop(0)]
        if isinstance(command, click.Group):
            command = command.commands[names.pop(0)]
        return CliRunner().invoke(_without_ape(command), names, input=stdin)

    return invoke


def _without_ape(command: click.Command) -> click.Command:
    """The command as it is once ape has connected it."""
    callback = command.callback
    assert callback is not None

    def call(**values: Any) -> None:
        sys.exit(run_command(lambda: callback(**values)))

    own = [one for one in command.params if one.name not in ("network", "provider_settings")]
    return click.Command(command.name, params=own, callback=call)


def done(result: Result) -> list[str]:
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


def refused(result: Result, said: str) -> None:
    assert (result.exit_code, result.output.count("\n")) == (2, 1), result.output
    assert said in result.output


# --- exits -------------------------------------------------------------------------------------------------------


def test_stop_loss__and_take_profit__close_the_position(world: World, trader: Plimsoll, run: Run) -> None:
    world.open(trader, "ETH", "2")
    stop = done(run("stop-loss", "ETH", "2_900"))
    assert stop[0] == (
        "placed       stop-loss ETH/USD -2 once the index is at $2,900.00 or below, at any price, reduce only"
    )
    profit = done(
        run("take-profit", "ETH", "3_100", "--size", "0.5", "--slippage-bps", "100", "--expiry", "2100000000")
    )
    assert profit[0] == (
        "placed       take-profit ETH/USD -0.5 once the index is at $3,100.00 or above, at $3,069.00 or better, "
        "reduce only, until 2036-07-18 13:20:00 UTC"
    )
    shown = [line for line in done(run("show")) if line.startswith("order ")]
    assert [line.split()[1] for line in shown] == [stop[1].split()[1], profit[1].split()[1]]
    assert shown[0].endswith("reduce only, waits for its price")


def test_bracket__bought__is_three_orders(trader: Plimsoll, run: Run) -> None:
    lines = done(run("bracket", "buy", "ETH", "1", "--stop", "2_900", "--profit", "3_100", "--price", "2_950"))
    kinds = [line.split()[1] for line in lines if line.startswith("placed")]
    assert kinds == ["limit", "stop-loss", "take-profit"]
    entry = lines[1].split()[1]
    assert lines[2].endswith(f"reduce only, after order {entry[:10]}…")
    assert [order.order.kind for order in trader.open_orders()] == [1, 2, 3]


def test_bracket__at_the_market__says_when_its_entry_settles(world: World, trader: Plimsoll, run: Run) -> None:
    lines = done(run("bracket", "sell", "ETH", "1", "--stop", "3_100", "--profit", "2_900"))
    assert lines[2] == f"settles      at the first price from {world.evm.timestamp + 2} on, number 1 of the queue"


def test_buy__nobody_executes__says_so_after_the_wait(trader: Plimsoll, run: Run) -> None:
    late = run("buy", "ETH", "1", "--wait", "0.01")
    assert late.exit_code == 2
    assert "is still open after 0.01 s" in late.output.splitlines()[-1]


def test_ladder__of_a_position__is_so_many_take_profits(world: World, trader: Plimsoll, run: Run) -> None:
    world.open(trader, "ETH", "-2")
    lines = [line for line in done(run("ladder", "ETH", "2_900", "2_700", "3")) if line.startswith("placed")]
    assert [line.split()[9] for line in lines] == ["$2,900.00", "$2,800.00", "$2,700.00"]
    assert sum(order.order.base for order in trader.open_orders()) == 2 * WAD


def test_cancel_all__ends_what_waits(trader: Plimsoll, run: Run) -> None:
    done(run("limit", "buy", "ETH", "1", "2_500"))
    assert done(run("cancel-all")) == ["cancelled    all that was not made under counter 1"]
    assert trader.open_orders() == []


def test_history__of_an_account__has_prices_and_fees(world: World, trader: Plimsoll, run: Run) -> None:
    assert done(run("history")) == []
    world.open(trader, "ETH", "2")
    (line,) = done(run("history"))
    assert line.endswith(" ETH/USD +2 at $3,000.01, pool, fee $3.60; position +2")
    world.open(trader, "ETH", "-1")
    assert len(done(run("history"))) == 2


# --- signatures --------------------------------------------------------------------------------------------------


def test_sign__a_limit_order__is_json_and_sends_nothing(world: World, trader: Plimsoll, run: Run) -> None:
    sent = len(world.node.sent)
    printed = done(run("sign", "limit", "sell", "ETH", "1.5", "3_000", "--in-force", "post-only", "--expiry", "2h"))
    signed = signed_from_json(json.loads("\n".join(printed)), trader.domain)
    assert len(world.node.sent) == sent
    assert signed.signer(trader.domain) == trader.signer.address
    expected = trader.limit_order("ETH", "-1.5", 3_000, expiry=world.evm.timestamp + 7_200)
    assert signed.order._replace(salt=0) == expected._replace(salt=0, time_in_force=1)


def test_relay__what_was_signed__is_placed_by_somebody_else(world: World, trader: Plimsoll, run: Run) -> None:
    world.open(trader, "ETH", "1")
    signed = run("sign", "stop-loss", "ETH", "2_500").output
    lines = done(run("relay", "-", "--account", "relayer", stdin=signed))
    assert lines[0] == (
        "placed       stop-loss ETH/USD -1 once the index is at $2,500.00 or below, at any price, reduce only"
    )
    assert [order.hash.hex() for order in trader.open_orders()] == [lines[1].split()[1][2:]]
    assert world.core.vault.cashOf(world.client(world.signer("relayer")).account()) == WAD // 10
    refused(run("relay", "-", stdin=signed), "error: order: this order or signature was used before")


def test_relay__a_signed_limit_order__is_for_matching(trader: Plimsoll, run: Run) -> None:
    said = (
        "error: order: a signed limit order is for matching; use a take-profit order with the same trigger and limit, "
        "or place it yourself\n"
    )
    for arguments in (
        ("limit", "buy", "ETH", "1", "2_500"),
        ("bracket", "buy", "ETH", "1", "--stop", "2_900", "--profit", "3_100", "--price", "2_950"),
    ):
        signed = run("sign", *arguments).output
        refused(run("relay", "-", "--account", "relayer", stdin=signed), said)
    assert trader.open_orders() == []


def test_relay__a_bracket_from_a_file__is_placed_together(trader: Plimsoll, run: Run, tmp_path: Path) -> None:
    bracket = ("bracket", "buy", "ETH", "1", "--stop", "2_900", "--profit", "3_100")
    refused(run("sign", *bracket), "error: sign: a market order that others place needs an expiry")
    signed = tmp_path / "bracket.json"
    signed.write_text(run("sign", *bracket, "--entry-expiry", "1m").output)
    assert len(json.loads(signed.read_text())) == 3
    done(run("relay", str(signed), "--account", "relayer"))
    assert [order.is_queued for order in trader.open_orders()] == [True, False, False]


# --- delegates ---------------------------------------------------------------------------------------------------


def test_delegate__named__trades_for_the_account_until_it_is_ended(world: World, trader: Plimsoll, run: Run) -> None:
    bot = world.signer("bot").address
    nothing = f"delegate     {bot} may do nothing"
    assert done(run("delegate", bot)) == [nothing]
    lines = done(
        run("delegate", bot, "--market", "ETH", "--market", "2", "--until", "7d", "--budget", "50_000", "--may-match")
    )
    assert lines[1:] == [
        "markets      ETH/USD, BTC/USD",
        "budget       $50,000 a day, $50,000 left today",
        "may          place and cancel, match",
    ]
    account = str(trader.account())
    placed = done(run("limit", "buy", "ETH", "1", "2_500", "--account", "bot", "--for", account))
    key = bytes.fromhex(placed[1].split()[1][2:])
    assert trader.commitment(key).status == OrderStatus.WAITING
    assert "$50,000 a day, $47,000 left today" in done(run("delegate", bot))[2]
    done(run("cancel", "0x" + key.hex(), "--account", "bot"))
    assert done(run("delegate", bot, "--end")) == [nothing]
    refused(
        run("limit", "buy", "ETH", "1", "2_500", "--account", "bot", "--for", account),
        f"error: order: {bot} is neither the owner of account {trader.account():#x}",
    )


# --- bad input ---------------------------------------------------------------------------------------------------

BOT = "0x" + "12" * 20


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("stop-loss", "ETH", "2_900"), "error: ETH/USD: the account has no position to close"),
        (("stop-loss", "DOGE", "1"), "error: market 'DOGE' is not known"),
        (("ladder", "ETH", "1", "2", "0"), "error: ETH/USD: the account has no position"),
        (("limit", "buy", "ETH", "1", "0"), "error: order: a limit order needs a price"),
        (("limit", "buy", "ETH", "1", "cheap"), "error: price: 'cheap' is not a number"),
        (("limit", "buy", "ETH", "1", "5", "--expiry", "soon"), "error: expiry: 'soon' is no time"),
        (("limit", "buy", "ETH", "1", "5", "--expiry", "5"), "error: expiry: 5 has passed"),
        (("limit", "buy", "ETH", "1", "5", "--in-force", "post-only"), "error: order: its time in force is for orders"),
        (("limit", "buy", "ETH", "-1", "5"), "error: size -1 has a sign"),
        (("limit", "buy", "ETH", "1", "5", "--for", "me"), "error: account id: 'me' is not a number"),
        (
            ("bracket", "buy", "ETH", "1", "--stop", "3_100", "--profit", "2_900"),
            "error: bracket: the stop-loss of a buy",
        ),
        (("cancel", "0x12"), "error: hash '0x12' is not 0x and 64"),
        (("sign", "buy", "ETH", "1"), "error: sign: a market order that others place needs an expiry"),
        (("relay", "-"), "error: <stdin>: no JSON"),
        (("delegate", "bot"), "error: address: 'bot' is not 0x and 40"),
        (("delegate", BOT, "--market", "ETH"), "error: delegate: --market, --until and --budget go together"),
        (
            ("delegate", BOT, "--market", "ETH", "--until", "7d", "--budget", "5"),
            "error: delegate: a budget of $5 a day",
        ),
        (
            ("delegate", BOT, "--market", "ETH", "--until", "7d", "--budget", "5000.5"),
            "error: daily budget: 5000.5 has more than 0 decimals",
        ),
        (("delegate", BOT, "--end", "--account", "stranger", "--for", str(9 << 96)), "error: delegate: 0x"),
    ],
)
def test_trade__bad_input__is_one_line_and_2(run: Run, arguments: tuple[str, ...], said: str) -> None:
    positional = [*arguments]
    if "-1" in positional:  # or it reads as an option
        positional[positional.index("-1") :] = ["--", *positional[positional.index("-1") :]]
    refused(run(*positional, stdin="{"), said)


def test_stop_loss__market_of_another_size__keeps_its_sign(world: World, trader: Plimsoll, run: Run) -> None:
    world.open(trader, "ETH", "-1")
    refused(run("stop-loss", "ETH", "3_100", "--size", "-1"), "error: size: -1 is not more than zero")
    assert trader.position(ETH) is not None
    done(run("stop-loss", "ETH", "3_100"))
    (order,) = trader.open_orders()
    assert order.order.base == WAD
