// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IMarketOperations} from "interfaces/market/IMarketOperations.sol";
import {PositionMath} from "../libraries/PositionMath.sol";
import {PerpMarket} from "../market/PerpMarket.sol";
import {Core} from "../types/Accounts.sol";
import {MarketState} from "../types/MarketState.sol";

/// @notice Tests only: a market whose deleveraging anyone can set off, with any side, fraction and price.
contract PerpMarketHarness is PerpMarket {
    constructor(Core memory core) PerpMarket(core) {}

    function injectDeleveraging(uint256 marketId, bool isLong, uint256 fraction, uint256 price) external {
        IMarketOperations(address(this)).accrue(marketId);
        MarketState memory s = _markets[marketId].load();
        (, uint256 flow) = PositionMath.closeSide(s, isLong, fraction, price, _ends[marketId][isLong]);
        s.poolQuote += isLong ? -int256(flow) : int256(flow);
        _markets[marketId].store(s);
    }
}
