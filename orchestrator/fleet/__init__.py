"""The fleet's own files and this machine: checked, formatted, updated."""
