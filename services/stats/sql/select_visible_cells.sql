-- Sums of published days. A day that is closed is read from its final cells alone, never from a snapshot of it too:
-- `unfinished` are the (tenant, day) that had no final cells when select_freshness.sql looked.
SELECT
    multiIf({by:String} = 'day', toString(day), {by:String} = 'week', toString(toMonday(day)),
            {by:String} = 'month', toString(toStartOfMonth(day)), '') AS time_bucket,
    dim1, dim2, CAST(measure, 'String') AS measure_name, sum(value) AS total
FROM cells
WHERE cube IN {cubes:Array(String)} AND day BETWEEN {first:Date} AND {last:Date}
    AND ({everywhere:UInt8} = 1 OR tenant IN {tenants:Array(String)})
    AND measure IN {measures:Array(String)}
    AND ({dim1:String} = '' OR dim1 = {dim1:String})
    AND ({dim2:String} = '' OR dim2 = {dim2:String})
    AND provisional = ((tenant, day) IN {unfinished:Array(Tuple(String, Date))})
GROUP BY time_bucket, dim1, dim2, measure_name
