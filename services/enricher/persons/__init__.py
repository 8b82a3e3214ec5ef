"""Who an account is, and the key that everything of a person is sealed under."""
