SELECT name FROM system.parts WHERE active AND database = currentDatabase() AND table = 'events'
