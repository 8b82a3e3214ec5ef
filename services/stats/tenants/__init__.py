"""What the registry says of a tenant, and what is left of one that leaves: nothing."""
