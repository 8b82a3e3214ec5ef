"""The event log behind one small interface: embedded (SQLite) or Kafka, by URL."""
