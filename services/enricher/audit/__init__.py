"""Who looked at whose data: the append-only log, its proof, and reading it."""
