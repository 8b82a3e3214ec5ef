"""The traffic model of `voile demo`; it uses the public interfaces alone."""
