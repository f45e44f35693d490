"""Read the inventory: YAML files go in, a fleet comes out, or every mistake at once."""
