"""How long it takes until the last of very many accounts is closed out: `make bench-liquidations`."""
