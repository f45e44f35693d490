"""What all rooms draw with: a live display, plain lines, JSON lines, tables, the report."""
