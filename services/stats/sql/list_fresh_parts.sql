-- Parts as they were inserted, not merged yet.
SELECT name FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'events' AND level = 0 AND partition = {partition:String}
