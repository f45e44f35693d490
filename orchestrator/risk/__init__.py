"""Derived risk: what a host's evaluated configuration opens, and to whom."""
