"""What a rollup says that L1 data costs: its GasPriceOracle, the OP stack's predeploy."""

from __future__ import annotations

from functools import cached_property

from plimsoll.chain.abi import AbiError, function_json
from plimsoll.chain.contracts import Deployed, Interface
from plimsoll.chain.rpc import RpcError
from plimsoll.chain.transactions import BlockId, Chain, Reverted
from plimsoll.core.errors import UserError
from plimsoll.sdk.fees.fjord import L1Prices

GAS_PRICE_ORACLE = "0x420000000000000000000000000000000000000F"
ORACLE = Interface(
    "GasPriceOracle",
    [
        function_json("isFjord", [], ["bool"]),
        function_json("l1BaseFee", [], ["uint256"]),
        function_json("blobBaseFee", [], ["uint256"]),
        function_json("baseFeeScalar", [], ["uint32"]),
        function_json("blobBaseFeeScalar", [], ["uint32"]),
        function_json("getL1Fee", ["bytes"], ["uint256"]),
        function_json("getOperatorFee", ["uint256"], ["uint256"]),
    ],
)


class FeeOracle:
    """The predeploy of one chain."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._contract = Deployed(ORACLE, GAS_PRICE_ORACLE, chain)

    @cached_property
    def is_there(self) -> bool:
        """Whether the chain charges for L1 data at all."""
        return bool(self.chain.code(GAS_PRICE_ORACLE))

    def prices(self, block: BlockId = "latest") -> L1Prices:
        """As of a block. Raises UserError where the chain has no such oracle, or charges by rules before Fjord's."""
        if not self.is_there:
            raise UserError(f"{self.chain.uri}: no GasPriceOracle there; it is no OP-stack rollup, or a bare node")
        names = ("isFjord", "l1BaseFee", "blobBaseFee", "baseFeeScalar", "blobBaseFeeScalar")
        try:
            is_fjord, *rest = self.chain.read([self._contract.prepare(name) for name in names], block=block)
        except (Reverted, AbiError):
            is_fjord, rest = False, []
        if not is_fjord:
            raise UserError(f"{self.chain.uri}: the rollup charges for L1 data by older rules than those of Fjord")
        return L1Prices(*rest)

    def fee(self, unsigned: bytes, block: BlockId = "latest") -> int:
        """Wei that the rollup itself reckons for an unsigned transaction."""
        return int(self._contract.call("getL1Fee", unsigned, block=block))

    def operator_fee(self, gas: int, block: BlockId = "latest") -> int:
        """Wei that the chain's operator adds for so much L2 gas; 0 before Isthmus, which brought it."""
        try:
            return int(self._contract.call("getOperatorFee", gas, block=block))
        except (Reverted, RpcError, AbiError):
            return 0
