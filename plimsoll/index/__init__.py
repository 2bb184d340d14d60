"""State and history from events: an index in DuckDB or PostgreSQL, and a mirror in memory that equals the chain."""
