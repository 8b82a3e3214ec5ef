SELECT toInt64(uniqExact(account)) AS accounts
FROM active_accounts
WHERE tenant = {tenant:String} AND period = {period:String} AND ({all:UInt8} = 1 OR account IN {accounts:Array(UInt64)})
