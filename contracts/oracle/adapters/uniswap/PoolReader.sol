// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IUniswapV3Pool} from "interfaces/oracle/IUniswapV3Pool.sol";

/// @notice Reads Uniswap v3 pools without ever reverting: whatever answers at a pool's address, the caller goes on.
library PoolReader {
    /// @dev `observe` searches up to 65,535 observations, 16 steps of two cold slots each. Whoever brings too little gas for it has
    /// a 63rd of that left, too little to record anything: nobody gets round the bound by starving it.
    uint256 private constant OBSERVE_GAS = 200_000;
    uint256 private constant SLOT_GAS = 20_000;
    int256 private constant MAX_TICK = 887272;

    /// @return observed False where the pool doesn't remember that much, or gives no answer of the right shape.
    /// @return sum Of the tick over the window, times seconds.
    function tickSeconds(address pool, uint256 window) internal view returns (bool observed, int256 sum) {
        uint32[] memory secondsAgos = new uint32[](2);
        secondsAgos[0] = uint32(window); // the caller's bound
        (bool ok, bytes memory data) =
            pool.staticcall{gas: OBSERVE_GAS}(abi.encodeCall(IUniswapV3Pool.observe, (secondsAgos)));
        if (!ok || data.length < 256) return (false, 0);
        (uint256 offset,, uint256 count, int256 before, int256 now_) =
            abi.decode(data, (uint256, uint256, uint256, int256, int256));
        if (offset != 64 || count != 2 || int56(before) != before || int56(now_) != now_) return (false, 0);
        unchecked {
            sum = int56(now_ - before); // the pool's counter may wrap
        }
        int256 limit = MAX_TICK * int256(window);
        return (sum <= limit && sum >= -limit, sum);
    }

    /// @notice When the pool's newest observation was written, Unix seconds.
    function lastObservation(address pool) internal view returns (bool known, uint256 timestamp) {
        (bool ok, bytes memory data) = pool.staticcall{gas: SLOT_GAS}(abi.encodeCall(IUniswapV3Pool.slot0, ()));
        if (!ok || data.length < 224) return (false, 0);
        (,, uint256 index) = abi.decode(data, (uint256, int256, uint256));
        (ok, data) = pool.staticcall{gas: SLOT_GAS}(abi.encodeCall(IUniswapV3Pool.observations, (index)));
        if (!ok || data.length < 128) return (false, 0);
        (timestamp) = abi.decode(data, (uint256));
        return (timestamp <= block.timestamp, timestamp);
    }
}
