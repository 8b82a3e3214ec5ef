SELECT min(free_space) AS free_bytes, min(total_space) AS total_bytes FROM system.disks
