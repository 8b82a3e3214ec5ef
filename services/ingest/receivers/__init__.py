"""Where lines come in: files and HTTP."""
