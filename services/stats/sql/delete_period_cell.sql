ALTER TABLE cells DELETE
WHERE tenant = {tenant:String} AND day = {day:Date} AND provisional = 0 AND cube = {cube:String}
