-- Statements of the embedded event log, by name.

-- name: topic
SELECT number, uuid, compacted, first_offset, next_offset, last_append_ms FROM topics WHERE name = :name

-- name: add_topic
INSERT INTO topics (name, uuid, compacted) VALUES (:name, :uuid, :compacted)

-- name: append
INSERT INTO messages (topic, log_offset, append_ms, packing, key, headers, value)
VALUES (:topic, :log_offset, :append_ms, :packing, :key, :headers, :value)

-- name: advance_topic
UPDATE topics SET next_offset = :next_offset, last_append_ms = :append_ms WHERE number = :topic

-- name: read
SELECT log_offset, append_ms, packing, key, headers, value FROM messages
WHERE topic = :topic AND log_offset BETWEEN :first AND :last ORDER BY log_offset LIMIT :count

-- name: take_lease
INSERT INTO leases (group_name, member, generation, expires_ms) VALUES (:group, :member, 1, :expires_ms)
ON CONFLICT (group_name) DO UPDATE
SET member = excluded.member, generation = generation + 1, expires_ms = excluded.expires_ms
WHERE expires_ms <= :now_ms OR (:at_once AND member = excluded.member)
RETURNING generation

-- name: lease
SELECT generation, expires_ms FROM leases WHERE group_name = :group

-- name: renew_lease
UPDATE leases SET expires_ms = :expires_ms WHERE group_name = :group AND generation = :generation

-- name: commit
INSERT INTO commits (group_name, topic, next_offset, metadata) VALUES (:group, :topic, :next_offset, :metadata)
ON CONFLICT (group_name, topic) DO UPDATE SET next_offset = excluded.next_offset, metadata = excluded.metadata

-- name: committed
SELECT c.next_offset, c.metadata FROM commits c JOIN topics t ON t.number = c.topic
WHERE c.group_name = :group AND t.name = :name

-- name: oldest
SELECT log_offset, append_ms FROM messages WHERE topic = :topic ORDER BY log_offset LIMIT :count

-- name: delete_below
DELETE FROM messages WHERE topic = :topic AND log_offset < :log_offset

-- name: raise_first_offset
UPDATE topics SET first_offset = :log_offset WHERE number = :topic

-- name: superseded
SELECT log_offset FROM (
  SELECT log_offset, packing, append_ms, max(log_offset) OVER (PARTITION BY key) AS newest
  FROM messages WHERE topic = :topic
) WHERE log_offset < newest OR (packing = 0 AND append_ms < :tombstones_before_ms)

-- name: delete_one
DELETE FROM messages WHERE topic = :topic AND log_offset = :log_offset

-- name: probe
INSERT INTO probe (one, at_ms) VALUES (1, :at_ms) ON CONFLICT (one) DO UPDATE SET at_ms = excluded.at_ms
