"""The day that is still open: provisional figures, and totals within seconds."""
