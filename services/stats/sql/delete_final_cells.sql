ALTER TABLE cells DELETE WHERE provisional = 0 AND (tenant, day) IN {pairs:Array(Tuple(String, Date))}
    AND cube NOT IN ('active_accounts_week', 'active_accounts_month')
