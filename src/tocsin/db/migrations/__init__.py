"""The schema's history, forward only. Each step is safe while the previous version of the program still runs."""
