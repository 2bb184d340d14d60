"""What the contracts refuse with: the name of a Solidity custom error and its values."""

from __future__ import annotations


class Refusal(Exception):
    """A call that reverts. Nothing of it remains in the state.

    `name` is the custom error's name; `values` are its arguments in order, addresses and enums as ints.
    """

    def __init__(self, name: str, *values: object) -> None:
        super().__init__(name, *values)
        self.name = name
        self.values = values

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.values))})"
