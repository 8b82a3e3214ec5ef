"""A batch of the log becomes event rows, once, without saying whose they are."""
