-- Stands for the objectors' table where a caller has removed their rows already.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date, visitor UInt64) ENGINE = Memory
