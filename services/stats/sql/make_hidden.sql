-- Cells of one cube that lose their name.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date, dim1 String, dim2 String) ENGINE = Memory
