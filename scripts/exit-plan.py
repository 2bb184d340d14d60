"""When your dollars would be on L1 and what it costs: `ape run exit-plan ACCOUNT --network optimism:devnet:node`."""

from scripts._exit_plan import cli

__all__ = ["cli"]
