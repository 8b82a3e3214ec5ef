-- The embedded event log, version 1 (PRAGMA user_version). Personal data lies in `messages` for the
-- topics that carry it by design; retention overwrites it (secure_delete).

CREATE TABLE topics (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  uuid TEXT NOT NULL,                       -- another one when the topic is made again
  compacted INTEGER NOT NULL,
  first_offset INTEGER NOT NULL DEFAULT 0,  -- below it everything was deleted
  next_offset INTEGER NOT NULL DEFAULT 0,
  last_append_ms INTEGER NOT NULL DEFAULT 0 -- append times never run backwards, even when the clock does
);

CREATE TABLE messages (
  topic INTEGER NOT NULL REFERENCES topics (number),
  log_offset INTEGER NOT NULL,
  append_ms INTEGER NOT NULL,
  packing INTEGER NOT NULL,                 -- 0 tombstone, 1 as it is, 2 zstd
  key BLOB NOT NULL,
  headers TEXT NOT NULL,                    -- JSON, bytes as Latin-1
  value BLOB,
  PRIMARY KEY (topic, log_offset)
);

CREATE TABLE leases (
  group_name TEXT PRIMARY KEY,
  member TEXT NOT NULL,
  generation INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL
);

CREATE TABLE commits (
  group_name TEXT NOT NULL,
  topic INTEGER NOT NULL REFERENCES topics (number),
  next_offset INTEGER NOT NULL,
  metadata TEXT NOT NULL,
  PRIMARY KEY (group_name, topic)
);

CREATE TABLE probe (one INTEGER PRIMARY KEY CHECK (one = 1), at_ms INTEGER NOT NULL);
