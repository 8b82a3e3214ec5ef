-- The routes that count on a day: the tenant's table as it stood before the day.
CREATE OR REPLACE TABLE {table:Identifier} (tenant String, day Date, route String) ENGINE = Memory
