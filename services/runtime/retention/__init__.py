"""How long each type of data is kept, what happens at its end, and how each plane proves it."""
