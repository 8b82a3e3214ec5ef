-- Accounts that objected, under the key of each day: gone with the process.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date, account UInt64) ENGINE = Memory
