// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IL1Block} from "interfaces/rollup/IL1Block.sol";

/// @notice Tests only: what a rollup knows of L1, as a test sets it. Laid out as the OP stack's, whose slots nodes read to charge for data.
contract MockL1Block is IL1Block {
    uint64 public number;
    uint64 public timestamp;
    uint256 public basefee;
    bytes32 public hash;
    uint64 public sequenceNumber;
    uint32 public blobBaseFeeScalar;
    uint32 public baseFeeScalar;
    bytes32 public batcherHash;
    uint256 public l1FeeOverhead;
    uint256 public l1FeeScalar;
    uint256 public blobBaseFee;

    function set(uint256 basefee_, uint32 baseFeeScalar_, uint256 blobBaseFee_, uint32 blobBaseFeeScalar_) external {
        (basefee, blobBaseFee) = (basefee_, blobBaseFee_);
        (baseFeeScalar, blobBaseFeeScalar) = (baseFeeScalar_, blobBaseFeeScalar_);
    }
}
