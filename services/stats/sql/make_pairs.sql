CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date) ENGINE = Memory
