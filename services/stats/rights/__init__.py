"""What a person said no to is not counted, and what is erased leaves the open days."""
