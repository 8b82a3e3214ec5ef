"""Statistics plane: pseudonymise, aggregate, publish, forget."""

__all__ = ["SERVICE"]

# The name under which commands reach the running plane. It stands here, where it costs nothing to import:
# a command that the plane answers loads neither the engine nor the web server (1.4 s of CPU).
SERVICE = "statistics"
