"""An inventory for a fleet that is there already: what its own files say of its hosts."""
