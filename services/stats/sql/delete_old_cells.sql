ALTER TABLE cells DELETE
WHERE provisional = 0 AND tenant IN {tenants:Array(String)} AND day < {before:Date32}
