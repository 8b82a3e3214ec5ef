SELECT CAST(tenant, 'String') AS tenant, day, CAST(cube, 'String') AS cube, dim1, dim2,
    CAST(measure, 'String') AS measure, value
-- The cells of weeks and months (close_periods.py) are no cells of a day.
FROM cells
WHERE provisional = 0 AND (tenant, day) IN {pairs:Array(Tuple(String, Date))}
    AND cube NOT IN ('active_accounts_week', 'active_accounts_month')
