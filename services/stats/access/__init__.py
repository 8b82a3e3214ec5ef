"""Who may see the figures: people by their roles, programs by their keys."""
