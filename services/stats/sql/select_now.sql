-- People of the last complete block, as the last snapshot published them; dim1 is when the block began.
SELECT dim1, value
FROM cells
WHERE tenant = {tenant:String} AND provisional = 1 AND cube = 'now' AND day >= {since:Date}
ORDER BY dim1 DESC
LIMIT 1
