CHECK TABLE events SETTINGS check_query_single_value_result = 0
