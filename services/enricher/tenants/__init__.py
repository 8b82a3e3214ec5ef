"""A tenant's life, from its first day to the certificate that its data is gone."""
