// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IPriceRecords} from "interfaces/oracle/IPriceRecords.sol";
import {IL1Block} from "interfaces/rollup/IL1Block.sol";
import {WadMath} from "../libraries/WadMath.sol";
import {Core} from "../types/Accounts.sol";

/// @title KeeperPay
/// @notice What a keeper's call costs him, in dollars: execution at the base fee, and on an OP-stack rollup the data on L1.
/// @dev Never more than it costs at least, whatever it is batched with: what a transaction costs but once is paid once in it. So nobody
/// earns by liquidating himself. L1Block's fields and a fixed size, since asking GasPriceOracle would cost more than what it is asked for.
abstract contract KeeperPay {
    /// @dev The most that gas is paid for, WAD dollars.
    uint256 internal constant GAS_COST_MAX = 25e18;
    /// @dev Of a transaction, whatever is in it: its own gas and the first touch of contracts and storage.
    uint256 internal constant TRANSACTION_GAS = 60_000;
    /// @dev What the least transaction counts for on L1, since Fjord.
    uint256 private constant TRANSACTION_BYTES = 100;
    IL1Block private constant L1_BLOCK = IL1Block(0x4200000000000000000000000000000000000015);

    IPriceRecords private immutable PRICES;
    /// @dev Where there is none now there will be none.
    bool private immutable HAS_L1;

    uint256 public gasMarket;

    bool private transient _isTransactionPaid;

    constructor(Core memory core) {
        PRICES = IPriceRecords(core.oracle);
        HAS_L1 = address(L1_BLOCK).code.length != 0;
    }

    /// @param gasUsed Without the transaction's part, which is added the first time.
    /// @return WAD dollars, rounded down; 0 without a gas market.
    function _gasCost(uint256 gasUsed) internal returns (uint256) {
        if (gasMarket == 0) return 0;
        uint256 dataFee;
        if (!_isTransactionPaid) {
            _isTransactionPaid = true;
            gasUsed += TRANSACTION_GAS;
            if (HAS_L1) dataFee = TRANSACTION_BYTES * _feePerByte();
        }
        uint256 cost = (gasUsed * block.basefee + dataFee) * PRICES.newest(gasMarket).price() / WadMath.WAD;
        return WadMath.min(cost, GAS_COST_MAX);
    }

    /// @dev Wei for a byte of compressed data: blocks of L1 charge 16 gas for it, blobs one.
    function _feePerByte() private view returns (uint256) {
        uint256 byBlock = 16 * L1_BLOCK.baseFeeScalar() * L1_BLOCK.basefee();
        return (byBlock + L1_BLOCK.blobBaseFeeScalar() * L1_BLOCK.blobBaseFee()) / 1e6;
    }
}
