-- A part of gather_rows.sql, where some prefix has too many children.
ANY LEFT JOIN {routes:Identifier} AS collapsed
    ON events.tenant = collapsed.tenant AND events.event_day = collapsed.day AND events.route = collapsed.route
