// SPDX-License-Identifier: MIT
pragma solidity ^0.8.24;

/// @title The part of Pyth's contract that is used here, with Pyth's names.
interface IPyth {
    struct Price {
        int64 price; // × 10^expo dollars
        uint64 conf;
        int32 expo;
        uint256 publishTime; // Unix seconds
    }

    struct PriceFeed {
        bytes32 id;
        Price price;
        Price emaPrice;
    }

    function getUpdateFee(bytes[] calldata updateData) external view returns (uint256 feeAmount);

    function parsePriceFeedUpdates(
        bytes[] calldata updateData,
        bytes32[] calldata priceIds,
        uint64 minPublishTime,
        uint64 maxPublishTime
    ) external payable returns (PriceFeed[] memory priceFeeds);
}
