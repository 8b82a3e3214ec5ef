"""What peers run in environments of their own: no module here imports Voile."""
