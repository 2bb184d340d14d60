"""The trader's commands between L1 and his accounts: deposits, who acts for him, and what an account refused."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from scripts._command import Command
from scripts._rollup import Sides, both_sides
from scripts._trading import cli, trading

if TYPE_CHECKING:
    from plimsoll.sdk.client import Plimsoll


@cli.command("deposit-l1", cls=Command)
@both_sides
@click.argument("dollars")
@click.option("--claimant", help="Who may take on L2 what the account refuses; by default the signer.")
@click.option("--wait", type=float, default=0, metavar="SECONDS", help="Wait so long until L2 has it.")
def deposit_l1(sides: Sides, dollars: str, claimant: str | None, wait: float) -> int:
    """Bring DOLLARS of the signer's tokens on L1 into the account, in one transaction there."""
    from plimsoll.core.ids import parse_address
    from plimsoll.core.units import to_units
    from plimsoll.sdk.rollup.deposits import Arrival, arrival, deposit

    if claimant is not None:
        parse_address(claimant)
    amount = to_units(dollars, sides.client.contracts.token_decimals, what="deposit")
    made = deposit(sides.rollup, sides.on_l1, amount, sides.account, claimant)
    click.echo(f"L1           {made.receipt.tx_hash}, {made.receipt.gas_used:,} gas")
    for message in made.messages:
        click.echo(f"L2           {message.tx_hash}")
    deadline = time.monotonic() + wait
    while (found := arrival(sides.rollup, made)) is Arrival.ON_THE_WAY and time.monotonic() < deadline:
        time.sleep(0.2)
    click.echo(f"deposit      {found.value}")
    return 0 if found is Arrival.CREDITED or not wait else 1


@cli.command(cls=Command)
@both_sides
@click.argument("l1_tx", metavar="L1_TX")
@click.option("--relay", is_flag=True, help="Relay again what failed of it on L2, whoever's deposit it is.")
def arrival(sides: Sides, l1_tx: str, relay: bool) -> int:
    """Say what became on L2 of the deposit that L1_TX made."""
    from plimsoll.core.errors import UserError
    from plimsoll.sdk.rollup.deposits import Arrival, arrival, deposit_in, relay_again

    receipt = sides.rollup.l1.receipt(l1_tx)
    if receipt is None:
        raise UserError(f"L1 (chain {sides.rollup.l1.chain_id}) has no transaction {l1_tx}")
    made = deposit_in(sides.rollup, receipt)
    if relay:
        for sent in relay_again(sides.rollup, made, sides.client.signer):
            click.echo(f"relayed      {sent.tx_hash}, {sent.gas_used:,} gas")
    found = arrival(sides.rollup, made)
    click.echo(f"deposit      {found.value}")
    return 0 if found in (Arrival.CREDITED, Arrival.CLAIMED) else 1


@cli.command(cls=Command)
@trading
@click.argument("address", required=False)
@click.option("--contract", "is_contract", is_flag=True, help="ADDRESS is a contract on L1, such as a multisig.")
@click.option("--end", is_flag=True, help="From now on nobody acts for the signer from L1.")
def agent(client: Plimsoll, account: int, address: str | None, is_contract: bool, end: bool) -> int:
    """Let ADDRESS of L1 cancel, reduce and withdraw (to itself) in all accounts of the signer; without one, show it."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import owner_of, parse_address

    gateway = client.contracts.of("L2Gateway")
    if end and address:
        raise UserError("agent: --end takes no address")
    if address is not None and not parse_address(address):
        raise UserError("agent: the zero address is nobody; to name none use --end")
    if end or address:
        gateway.transact(client.signer, "setAgent", (address or "0x" + "00" * 20, is_contract and not end))
    found = gateway.call("agentOf", owner_of(account))
    if int(found.l1Address, 16):
        click.echo(f"agent        {found.l1Address} on L1{', a contract' if found.isContract else ''}")
    else:
        click.echo("agent        none")
    return 0


@cli.command(cls=Command)
@trading
@click.argument("account_id", metavar="ACCOUNT")
@click.option("--claimant", help="Whose claim; the signer's by default.")
@click.option("--to", help="Take it out to this address instead of trying the account again; the claimant only.")
def claim(client: Plimsoll, account: int, account_id: str, claimant: str | None, to: str | None) -> int:
    """Put what ACCOUNT (its id) refused of a deposit from L1 into it after all, or take it out."""
    from plimsoll.core.errors import UserError
    from plimsoll.core.ids import parse_account
    from plimsoll.core.units import from_units
    from plimsoll.sdk.refusals import refusals_as_user_errors

    gateway, whose = client.contracts.of("L2Gateway"), parse_account(account_id)
    if to and claimant:
        raise UserError("claim: only the claimant takes it out; leave --claimant or --to out")
    by = claimant or client.signer.address
    amount = gateway.call("claimOf", whose, by)
    with refusals_as_user_errors("claim", token_decimals=client.contracts.token_decimals):
        if to:
            gateway.transact(client.signer, "reclaim", whose, to)
        else:
            gateway.transact(client.signer, "retry", whose, by)
    where = f"paid to {to}" if to else f"in account {whose:#x}"
    click.echo(f"claim        ${from_units(amount, client.contracts.token_decimals):,f} {where}")
    return 0
