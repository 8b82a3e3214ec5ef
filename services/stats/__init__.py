"""Statistics plane: pseudonymise, aggregate, publish, forget."""
