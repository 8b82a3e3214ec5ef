"""From a raw log to the dashboard, step by step: what each step takes off. Reads only; keeps nothing."""
