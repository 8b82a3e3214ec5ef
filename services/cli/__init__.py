"""The `voile` command: one thin file per command group."""
