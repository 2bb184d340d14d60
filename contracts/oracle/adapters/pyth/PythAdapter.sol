// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {IPyth} from "interfaces/oracle/IPyth.sol";
import {IPythAdapter} from "interfaces/oracle/IPythAdapter.sol";
import {Reading} from "../../../types/Oracle.sol";
import {SignedAdapter} from "../SignedAdapter.sol";

/// @title Pyth's feeds for the aggregator; documented in IPythAdapter.
contract PythAdapter is IPythAdapter, SignedAdapter {
    int256 private constant WAD_DECIMALS = 18;
    int256 private constant MAX_DECIMALS = 36;

    /// @inheritdoc IPythAdapter
    address public immutable pyth;

    constructor(address pyth_) {
        pyth = pyth_;
    }

    /// @inheritdoc IOracleAdapter
    function fee(bytes[] calldata updates) public view override(IOracleAdapter, SignedAdapter) returns (uint256 total) {
        for (uint256 i; i < updates.length; ++i) {
            if (updates[i].length != 0) total += IPyth(pyth).getUpdateFee(_single(updates[i]));
        }
    }

    /// @inheritdoc SignedAdapter
    /// @dev Any time is asked for, and the base skips what is not newer or from the future.
    function _verify(uint256 index, bytes32 feedId, bytes calldata update) internal override returns (Reading memory) {
        bytes[] memory updates = _single(update);
        bytes32[] memory ids = new bytes32[](1);
        ids[0] = feedId;
        uint256 due = IPyth(pyth).getUpdateFee(updates);
        IPyth.PriceFeed[] memory found =
            IPyth(pyth).parsePriceFeedUpdates{value: due}(updates, ids, 0, type(uint64).max);
        if (found[0].id != feedId) revert SignedAdapter_WrongFeed(index, feedId, found[0].id);
        return _reading(found[0].price);
    }

    function _reading(IPyth.Price memory price) private pure returns (Reading memory reading) {
        reading.publishedAt = price.publishTime;
        int256 expo = price.expo;
        if (price.price <= 0 || expo > 0 || expo < -MAX_DECIMALS) return reading;
        uint256 answer = uint64(price.price); // positive
        if (expo + WAD_DECIMALS >= 0) {
            uint256 factor = 10 ** uint256(expo + WAD_DECIMALS);
            (reading.price, reading.confidence) = (answer * factor, price.conf * factor);
        } else {
            uint256 divisor = 10 ** uint256(-expo - WAD_DECIMALS);
            (reading.price, reading.confidence) = (answer / divisor, Math.ceilDiv(price.conf, divisor));
        }
    }

    function _single(bytes calldata update) private pure returns (bytes[] memory updates) {
        updates = new bytes[](1);
        updates[0] = update;
    }
}
