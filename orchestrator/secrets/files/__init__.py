"""The files of an agenix repository: read without harm, changed all or none."""
