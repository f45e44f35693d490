"""Draws events: a live display, plain lines, JSON lines, a run's folder, the report."""
