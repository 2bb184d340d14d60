// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title What an OP-stack rollup knows of L1, since Ecotone: wei, and scalars in millionths.
interface IL1Block {
    function basefee() external view returns (uint256);

    function blobBaseFee() external view returns (uint256);

    function baseFeeScalar() external view returns (uint32);

    function blobBaseFeeScalar() external view returns (uint32);
}
