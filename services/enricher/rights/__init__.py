"""The rights of a person (GDPR articles 7, 12, 15 to 21), each request a case with its evidence."""
