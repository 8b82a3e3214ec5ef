"""Partner releases: noise is drawn once, when a day closes; a release is a sum of stored noisy days."""
