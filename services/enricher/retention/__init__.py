"""What happens at the end of a term, by type of data."""
