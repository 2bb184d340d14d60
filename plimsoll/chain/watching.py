"""A wallet without a key: for whoever only looks at what an address could do."""

from __future__ import annotations

from typing import Any

from plimsoll.chain.abi import address_of
from plimsoll.core.errors import UserError


class WatchedWallet:
    """Has an address and signs nothing."""

    def __init__(self, address: str) -> None:
        """Raises AbiError for no address."""
        self._address = address_of(address)

    @property
    def address(self) -> str:
        return self._address

    def sign(self, fields: dict[str, Any]) -> bytes:
        raise UserError(f"{self._address}: only its address is known here, not its key; nothing is sent")
