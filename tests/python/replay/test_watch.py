"""The watch leaves nobody out: at every price of a crash it finds exactly those whom a full look finds."""

from plimsoll.replay.actions import Block
from plimsoll.replay.run import ModelOnly, Replay
from plimsoll.replay.stored import Layout, Ledger
from tests.python.replay.setting import replay


class Looking(ModelOnly):
    """After every block everybody is valued, and compared with what the watch says."""

    def __init__(self, watched: Replay) -> None:
        super().__init__()
        self.replay = watched
        self.found = self.looks = 0

    def send(self, block: Block, touched: Layout, expected: Ledger) -> None:
        super().send(block, touched, expected)
        mirror, watch = self.replay.mirror, self.replay.watch
        everyone = [*self.replay.traders.by_account, self.replay.taker]
        unhealthy = [account for account in everyone if mirror.model.is_liquidatable(account, mirror.now)]
        assert watch.unhealthy() == unhealthy
        held = [a for a in everyone if mirror.model.markets_bitmap(a) or mirror.model.cash_of(a) < 0]
        assert watch.held == held
        self.found += len(unhealthy)
        self.looks += 1


def test_unhealthy__every_block_of_a_crash__as_a_full_look_finds() -> None:
    done = replay(minutes=40, accounts=60)
    looking = Looking(done)
    done.run(looking)
    assert looking.found > 10
    assert looking.looks > 100
