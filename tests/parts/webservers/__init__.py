"""Real web servers on 127.0.0.1, each told how to log by its own directives; many clients at once; GoAccess's count."""
