"""What every page and API of Voile stands on: shell, headers, sessions, errors, assets, server."""
