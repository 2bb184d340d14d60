"""Plimsoll: a perpetual-futures protocol for OP-stack rollups."""
