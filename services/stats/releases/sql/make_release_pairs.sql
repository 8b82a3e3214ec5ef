-- The (tenant, day) that are drawn together.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date) ENGINE = Memory
