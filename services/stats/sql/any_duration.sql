-- Whether any row says how long it took: the combined format has no such field, and then no bucket need be counted.
SELECT max(duration_ms) >= 0 AS timed FROM {rows:Identifier}
