"""The ways in which store paths come to a host."""
