"""A host is changed: to oneself, checked, under the guard, proved, or left as it was."""
