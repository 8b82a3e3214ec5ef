-- Cells of one cube that lose their name; names are numbers.
CREATE OR REPLACE TABLE {table:Identifier} (tenant UInt16, day Date, dim1 UInt32, dim2 UInt32) ENGINE = Memory
