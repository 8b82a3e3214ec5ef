ALTER TABLE cells DELETE WHERE provisional = 0 AND (tenant, day) IN {pairs:Array(Tuple(String, Date))}
