-- All of a tenant's period when no account is named.
ALTER TABLE active_accounts DELETE
WHERE tenant = {tenant:String} AND period = {period:String}
    AND ({all:UInt8} = 1 OR account IN {accounts:Array(UInt64)})
