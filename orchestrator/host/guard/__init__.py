"""The guard: a program on the host that changes it, and takes it back where nobody confirms."""
