-- Final and provisional, and those of a snapshot that is being made.
SELECT toInt64((SELECT count() FROM cells WHERE tenant = {tenant:String})
    + (SELECT count() FROM cells_staging WHERE tenant = {tenant:String})) AS cells
