-- The next snapshot, complete, before it replaces the one that readers see.
CREATE TABLE IF NOT EXISTS cells_staging AS cells
