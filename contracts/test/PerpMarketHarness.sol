// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {PerpMarket} from "../market/PerpMarket.sol";
import {Core} from "../types/Accounts.sol";
import {MarketState} from "../types/MarketState.sol";

/// @notice Tests only: a market whose deleveraging anyone can set off, with any side, fraction and price.
contract PerpMarketHarness is PerpMarket {
    constructor(Core memory core) PerpMarket(core) {}

    function injectDeleveraging(uint256 marketId, bool isLong, uint256 fraction, uint256 price) external {
        _bringUp(marketId);
        MarketState memory s = _markets[marketId].load();
        _closeSideWithPool(marketId, s, isLong, fraction, price);
        _markets[marketId].store(s);
    }
}
