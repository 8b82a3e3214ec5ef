"""People as digests under keys that end with the day, the week or the month."""
