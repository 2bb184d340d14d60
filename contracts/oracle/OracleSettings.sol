// SPDX-License-Identifier: MIT
pragma solidity 0.8.37;

import {IOracleAdapter} from "interfaces/oracle/IOracleAdapter.sol";
import {OracleConfig, PackedOracleConfig, PackedOracleConfigLib, Source} from "../types/Oracle.sol";

/// @notice A market's configuration as recording needs it: sources grouped by adapter once, when they are set.
library OracleSettings {
    /// @dev Feeds of one adapter, which answers for all of them in one call.
    struct Group {
        IOracleAdapter adapter;
        bytes32[] feedIds;
    }

    struct Settings {
        PackedOracleConfig config;
        uint256 pullCount;
        Group[] pulls;
        Group[] pushes;
        uint256[] maxAges; // of the push sources, seconds
    }

    /// @param sources_ Pull sources first, those of one adapter together, as OracleBounds has checked.
    function pack(OracleConfig calldata config, Source[] calldata sources_)
        internal
        pure
        returns (Settings memory settings)
    {
        settings.config = PackedOracleConfigLib.pack(config);
        while (settings.pullCount < sources_.length && !sources_[settings.pullCount].isPush) ++settings.pullCount;
        settings.pulls = _group(sources_[:settings.pullCount]);
        settings.pushes = _group(sources_[settings.pullCount:]);
        settings.maxAges = new uint256[](sources_.length - settings.pullCount);
        for (uint256 i; i < settings.maxAges.length; ++i) {
            settings.maxAges[i] = sources_[settings.pullCount + i].maxAge;
        }
    }

    /// @notice The sources that `pack` was given.
    function sources(Settings memory settings) internal pure returns (Source[] memory all) {
        all = new Source[](settings.pullCount + settings.maxAges.length);
        _ungroup(settings.pulls, all, 0);
        _ungroup(settings.pushes, all, settings.pullCount);
        for (uint256 i; i < settings.maxAges.length; ++i) {
            Source memory source = all[settings.pullCount + i];
            source.isPush = true;
            source.maxAge = uint32(settings.maxAges[i]); // was a uint32 in `pack`
        }
    }

    function _group(Source[] calldata sources_) private pure returns (Group[] memory groups) {
        uint256 count;
        for (uint256 i; i < sources_.length; ++i) {
            if (i == 0 || sources_[i].adapter != sources_[i - 1].adapter) ++count;
        }
        groups = new Group[](count);
        uint256 start;
        for (uint256 g; g < count; ++g) {
            uint256 end = start + 1;
            while (end < sources_.length && sources_[end].adapter == sources_[start].adapter) ++end;
            groups[g] = Group(IOracleAdapter(sources_[start].adapter), new bytes32[](end - start));
            for (uint256 i = start; i < end; ++i) {
                groups[g].feedIds[i - start] = sources_[i].feedId;
            }
            start = end;
        }
    }

    function _ungroup(Group[] memory groups, Source[] memory all, uint256 next) private pure {
        for (uint256 g; g < groups.length; ++g) {
            for (uint256 i; i < groups[g].feedIds.length; ++i) {
                all[next++] = Source(address(groups[g].adapter), false, 0, groups[g].feedIds[i]);
            }
        }
    }
}
