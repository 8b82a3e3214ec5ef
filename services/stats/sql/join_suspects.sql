-- A part of gather_rows.sql, where some visitor behaved as a program.
ANY LEFT JOIN {suspects:Identifier} AS suspects
    ON events.tenant = suspects.tenant AND events.event_day = suspects.day AND events.visitor = suspects.visitor
