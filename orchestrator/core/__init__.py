"""What every room speaks in: frozen values, errors, and the few things that all I/O uses."""
