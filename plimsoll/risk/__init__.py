"""The reference model of the protocol, scenarios and simulation: pure, in exact integers."""
