-- Parts that queries no longer read but that still lie on the disk.
SELECT name FROM system.parts WHERE database = currentDatabase() AND table = {table:String} AND NOT active
