ALTER TABLE events DELETE
WHERE kind = 'event' AND (tenant, event_day, visitor) IN (SELECT tenant, day, visitor FROM {objected:Identifier})
