"""The dashboard: published figures as one calm page, for people who are signed in."""
