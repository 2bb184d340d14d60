// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IL1Block} from "interfaces/rollup/IL1Block.sol";

/// @notice Tests only: what a rollup knows of L1, as a test sets it.
contract MockL1Block is IL1Block {
    uint256 public basefee;
    uint256 public blobBaseFee;
    uint32 public baseFeeScalar;
    uint32 public blobBaseFeeScalar;

    function set(uint256 basefee_, uint32 baseFeeScalar_, uint256 blobBaseFee_, uint32 blobBaseFeeScalar_) external {
        (basefee, blobBaseFee) = (basefee_, blobBaseFee_);
        (baseFeeScalar, blobBaseFeeScalar) = (baseFeeScalar_, blobBaseFeeScalar_);
    }
}
