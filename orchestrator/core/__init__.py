"""The values that every layer speaks in: frozen, slotted, no I/O."""
