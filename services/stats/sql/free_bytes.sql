SELECT min(free_space) AS free_bytes FROM system.disks
