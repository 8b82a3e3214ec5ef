SELECT path FROM system.parts
WHERE active AND database = currentDatabase() AND table = 'events' AND name = {part:String}
