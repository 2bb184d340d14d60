"""An engine in a process of its own: submits orders, says each once it is on the disk, then its state, and waits.

`python -m tests.python.book.process FILE COUNT`
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from plimsoll.book.engine import Engine
from plimsoll.book.refused import Refused
from tests.python.book.setting import state_of
from tests.python.book.stage import TRADERS, Durable


def digest(engine: Engine) -> str:
    return hashlib.sha256(repr(state_of(engine)).encode()).hexdigest()


def say(**fields: Any) -> None:
    print(json.dumps(fields), flush=True)


def main(path: Path, count: int) -> None:
    stage = Durable(path)
    draws = random.Random(1)
    group = []
    for place in range(count):
        number, size = draws.choice(TRADERS), draws.choice([-3, -2, 2, 3])
        try:
            group.append(stage.submit_quickly(number, size, draws.randint(-100, 100) - size * 30))
        except Refused:
            continue
        if place % 7 == 0 and (one := draws.choice(group)).left:
            stage.engine.cancel(one.hash)
        if len(group) >= draws.randint(1, 20):
            asyncio.run(stage.flush())
            for one in group:
                say(hash=one.hash.hex(), sequence=one.sequence)
            group = []
    asyncio.run(stage.flush())
    say(state=digest(stage.engine))
    time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
