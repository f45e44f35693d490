"""Verbs on a host, over whichever way it is reached; scripts are constants, data are arguments."""
