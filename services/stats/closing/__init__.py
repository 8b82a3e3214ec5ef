"""A day, a week or a month is closed: its event rows become published cells, and nobody is left in them."""
