"""From the environment and Silverback's account to a bot. Only bots import this: it needs a connected ape."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from ape import chain as ape_chain
from ape.logging import LogLevel, logger
from silverback import SilverbackBot
from silverback.main import SharedState
from silverback.settings import Settings

from plimsoll.chain.ape_account import chain_of, signer_from
from plimsoll.chain.transactions import Chain, Signer
from plimsoll.core.errors import UserError
from plimsoll.keepers.bots.worker import Make, Worker
from plimsoll.keepers.entry import Start, keys_from_environment, make_start
from plimsoll.keepers.operating import Operating
from plimsoll.sdk.deployments import choose


def variable(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def whole_number(name: str, default: int) -> int:
    """Raises UserError."""
    text = variable(name, str(default))
    if not text.isdigit():
        raise UserError(f"{name}: {text!r} is not a whole number")
    return int(text)


def is_on(name: str) -> bool:
    return variable(name) not in ("", "0")


def signing_keys() -> tuple[list[str], list[str]]:
    """Keys that sign beacons, and those that sign streams."""
    names = ("PLIMSOLL_BEACON_KEYS", "PLIMSOLL_STREAM_KEYS")
    beacons, streams = (keys_from_environment([name] if variable(name) else []) for name in names)
    return beacons, streams


def make_bot(name: str, make: Make) -> SilverbackBot:
    """A bot that does a round of the job for every block."""
    # Silverback logs its settings at INFO, and the broker's address may hold a password
    logger.set_level(LogLevel.WARNING)
    bot = SilverbackBot(Settings(BOT_NAME=variable("SILVERBACK_BOT_NAME", name)))
    # Silverback's runner gives it to one worker, once: the others, and whoever is started later, would fail each task
    bot.state = SharedState()
    worker = Worker(lambda: _start(bot), make)

    async def on_block(block: Any) -> dict[str, int]:
        return await asyncio.to_thread(worker.wake)

    on_block.__name__ = name  # over Redis a worker finds the task by it
    bot.on_(ape_chain.blocks)(on_block)

    @bot.on_worker_startup()
    async def on_worker_startup(state: Any) -> None:
        if bot.broker.is_worker_process:  # a runner has handlers of its own
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))  # leave by `on_worker_shutdown`
        await asyncio.to_thread(worker.runner)

    @bot.on_worker_shutdown()
    async def on_worker_shutdown(state: Any) -> None:
        await asyncio.to_thread(worker.end)

    return bot


def _start(bot: SilverbackBot) -> Start:
    """Raises UserError where the environment doesn't say enough."""
    operating = Operating.from_environment(os.environ)
    if not operating.nodes:
        operating = replace(operating, nodes=(chain_of(bot.provider).rpc.url,))
    chain = operating.chain()
    path = variable("PLIMSOLL_DEPLOYMENT")
    deployment = choose(chain, Path(path) if path else None)
    dry_run = is_on("PLIMSOLL_DRY_RUN")
    signer = _signer(chain, bot)
    if signer is None and not dry_run:
        raise UserError("no key: name an ape account (--account), or set PLIMSOLL_KEY, or PLIMSOLL_DRY_RUN=1")
    return make_start(operating, deployment, chain, signer, dry_run=dry_run, wait_for_prices=True)


def _signer(chain: Chain, bot: SilverbackBot) -> Signer | None:
    key = variable("PLIMSOLL_KEY")
    if key:
        return Signer(chain, key, name="keeper")
    return None if bot.signer is None else signer_from(chain, bot.signer)
