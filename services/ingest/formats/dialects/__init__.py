"""How each kind of server writes down a log format: one module a server, from its string to tokens."""
