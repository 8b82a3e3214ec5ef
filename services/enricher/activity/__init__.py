"""What a person did: linked, sealed, merged, and read again."""
