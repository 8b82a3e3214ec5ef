SELECT CAST(tenant, 'String') AS tenant, day, CAST(cube, 'String') AS cube, dim1, dim2,
    CAST(measure, 'String') AS measure, value
FROM cells
WHERE provisional = 0 AND (tenant, day) IN {pairs:Array(Tuple(String, Date))}
