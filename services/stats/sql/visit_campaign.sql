-- A part of gather_rows.sql, where some tenant's links name campaigns: that of the visit's first page that names one.
argMinIf(utm_source, (time, utm_source, utm_medium, utm_campaign), utm_source != '') OVER visits AS visit_utm_source,
argMinIf(utm_medium, (time, utm_source, utm_medium, utm_campaign), utm_source != '') OVER visits AS visit_utm_medium,
argMinIf(utm_campaign, (time, utm_source, utm_medium, utm_campaign), utm_source != '') OVER visits AS visit_utm_campaign
