"""Real parts that tests start: Kafka, PostgreSQL, nginx, a browser."""
