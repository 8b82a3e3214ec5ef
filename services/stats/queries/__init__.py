"""Questions and their answers, from published cells alone."""
