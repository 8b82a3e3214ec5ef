"""What may be counted, what may be shown of it, and the published cells."""
