"""How fast it is found out who may be liquidated: `make bench-health`."""
