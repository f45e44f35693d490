"""The root command, and what commands share."""
