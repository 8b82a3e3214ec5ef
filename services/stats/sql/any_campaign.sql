SELECT max(utm_source != '') = 1 AS named
FROM events
WHERE kind = 'event' AND late = 0 AND (tenant, event_day) IN (SELECT tenant, day FROM {pairs:Identifier})
