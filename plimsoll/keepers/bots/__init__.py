"""The keepers as Silverback bots, one module a job: `silverback run plimsoll.keepers.bots.liquidator`.

A bot is told that there is a new block, and does a round of the same loop that `ape run keeper` runs. With Silverback's
in-memory broker one process is all; over Redis (`taskiq-redis`) any worker may take any block, with a key of its own.
"""
