SELECT value FROM cells
WHERE tenant = {tenant:String} AND day = {day:Date} AND provisional = 0 AND cube = {cube:String}
