-- Routes that lose a segment today, because their prefix has too many children.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date, route String, shown String) ENGINE = Memory
