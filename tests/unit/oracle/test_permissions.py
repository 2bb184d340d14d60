"""What is allowed when: one table, in the code, in the code's comment, and in the documentation."""

from __future__ import annotations

import re

import pytest

from plimsoll.chain.build import ROOT
from tests.support.evm import Evm, Revert

STATES = ("Open", "Doubtful", "Grace", "Down")
TABLE = {
    "Deposit": "yes yes yes yes",
    "Withdraw": "yes yes yes yes",
    "Reduce": "yes yes yes yes",
    "Open": "yes no no no",
    "Pool": "yes no no no",
    "Liquidate": "yes yes no no",
}
"""By action, in the order of STATES. A change of it is a change of the protocol."""

IN_WORDS = {
    "deposit": "Deposit",
    "withdraw": "Withdraw",
    "reduce": "Reduce",
    "open": "Open",
    "enter or leave the pool": "Pool",
    "liquidate, take over, absorb": "Liquidate",
}
ROW = re.compile(r"^[ /]*\|(.+)\|$", re.MULTILINE)


def table_of(text: str) -> dict[str, str]:
    """The rows of a text's first table that has the states as its columns."""
    found: dict[str, str] = {}
    for row in ROW.findall(text):
        action, *cells = (cell.strip() for cell in row.split("|"))
        if action == "action":
            if tuple(cells) == STATES:
                found = {"": ""}
            continue
        if found and set(action) != {"-"} and len(cells) == len(STATES):
            found[action] = " ".join(cell or "no" for cell in cells)
    return {action: cells for action, cells in found.items() if action}


def test_allowed__every_action_and_state__is_the_table(evm: Evm) -> None:
    probe = evm.deploy("PermissionsProbe")
    for action, (name, cells) in enumerate(TABLE.items()):
        for state, cell in enumerate(cells.split()):
            assert probe.allowed(action, state) == (cell == "yes"), f"{name} when {STATES[state]}"
    for action, state in ((len(TABLE), 0), (0, len(STATES))):
        with pytest.raises(Revert):
            probe.allowed(action, state)


def test_comment__of_the_library__is_the_table() -> None:
    source = (ROOT / "contracts" / "libraries" / "Permissions.sol").read_text()
    assert table_of(source) == TABLE
    actions = re.search(r"enum Action \{(.*?)\}", source, re.DOTALL)
    assert actions is not None
    assert [name.strip() for name in actions[1].split(",")] == list(TABLE)
    states = re.search(r"enum GuardState \{(.*?)\}", (ROOT / "contracts/types/PriceRecord.sol").read_text(), re.DOTALL)
    assert states is not None
    assert tuple(name.strip() for name in states[1].split(",")) == STATES


def test_documentation__is_the_table() -> None:
    _, _, rest = (ROOT / "contracts" / "README.md").read_text().partition("## What is allowed when")
    found = table_of(rest.partition("\n## ")[0])
    assert {IN_WORDS[action]: cells for action, cells in found.items()} == TABLE
