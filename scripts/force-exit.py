"""Leave through L1, past a sequencer that is down or censors: `ape run force-exit --network … --account … --send`.

Run it again for the next round: what was sent is read from the two chains. Exit code 0, or 2 and one line.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from scripts._command import Command, signing_keys
from scripts._rollup import Sides, both_sides

if TYPE_CHECKING:
    from plimsoll.chain.transactions import Block


@click.command(cls=Command)
@both_sides
@click.option("--to", metavar="ADDRESS", help="Who is paid on L1; the sender by default, always for an agent.")
@click.option("--contract", metavar="ADDRESS", help="A contract on L1 will send it (a multisig): print for that one.")
@click.option("--price-data", type=click.Path(path_type=Path), help="JSON list of signed price items (0x…).")
@click.option("--price", "prices", multiple=True, metavar="ETH/USD=3000", help="Sign this price with the beacon keys.")
@click.option("--beacon-key-env", multiple=True, metavar="NAME", help="Variable with keys of beacons.")
@click.option("--stream-key-env", multiple=True, metavar="NAME", help="Variable with keys of a stream's reports.")
@click.option("--json", "as_json", is_flag=True, help="Print the L1 transactions as JSON and nothing else.")
@click.option("--send", "do_send", is_flag=True, help="Send them; without it they are only shown.")
def cli(
    sides: Sides,
    to: str | None,
    contract: str | None,
    price_data: Path | None,
    prices: tuple[str, ...],
    beacon_key_env: tuple[str, ...],
    stream_key_env: tuple[str, ...],
    as_json: bool,
    do_send: bool,
) -> int:
    """Cancel, close and withdraw to L1 by deposit transactions on L1, in two rounds a minute apart."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import parse_address
    from plimsoll.sdk.rollup.deposits import deposits_in
    from plimsoll.sdk.rollup.forced import Caller, ForcedExit, send
    from plimsoll.sdk.rollup.shown import step_lines, transaction_json

    for address in (to, contract):
        if address is not None:
            parse_address(address)
    if contract and do_send:
        raise UserError("force-exit: only the contract itself can send this; leave --send out and take what is printed")
    caller = Caller(contract or sides.on_l1.address, is_contract=contract is not None)
    now = sides.rollup.l1.block()
    payloads = _payloads(sides, now, price_data, prices, (beacon_key_env, stream_key_env))
    step = ForcedExit(sides.rollup, sides.client, sides.account, caller).next_step(payloads, to)
    if as_json or contract:
        click.echo(json.dumps([transaction_json(sides.rollup, call) for call in step.calls], indent=2))
        return 0
    for line in step_lines(step, now.timestamp):
        click.echo(line)
    if do_send:
        for call in step.calls:
            receipt = send(sides.rollup, call, sides.on_l1)
            (deposit,) = deposits_in(sides.rollup, receipt)
            click.echo(f"sent         {call.label}: {receipt.tx_hash}, {receipt.gas_used:,} gas; L2 {deposit.tx_hash}")
    elif step.calls:
        click.echo("nothing was sent; add --send, or --json to see the transactions")
    return 0


def _payloads(
    sides: Sides,
    now: Block,
    file: Path | None,
    prices: tuple[str, ...],
    key_names: tuple[tuple[str, ...], tuple[str, ...]],
) -> dict[int, list[bytes]]:
    """Signed data by market: out of a file, or signed here. Raises UserError."""
    from eth_abi.abi import decode

    from plimsoll.core.errors import UserError
    from plimsoll.keepers.entry import price_source
    from plimsoll.keepers.feeds import SignedPrices, feeds_of

    items: list[bytes] = []
    if file is not None:
        try:
            items += [bytes.fromhex(item.removeprefix("0x")) for item in json.loads(file.read_text())]
        except (OSError, ValueError, AttributeError, TypeError):
            raise UserError(f"{file}: not a JSON list of price items (0x and hexadecimal digits)") from None
    if prices:
        names = sides.client.names
        by_id = {number: name for name, number in names.items()}
        feeds = feeds_of(sides.client.contracts, by_id, *signing_keys(*key_names))
        signed = SignedPrices(feeds, price_source(names, prices=prices, job="force-exit"))
        found = (signed.item(number, now.timestamp) for number in names.values())
        items += [item for item in found if item is not None]
    try:
        return {market: list(payloads) for market, payloads in (decode(["uint256", "bytes[]"], item) for item in items)}
    except Exception:  # eth_abi raises many kinds
        raise UserError(f"{file}: an item is no (uint256 market, bytes[] payloads)") from None
