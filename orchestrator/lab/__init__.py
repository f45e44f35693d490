"""Real hosts on this machine: systemd, sshd and Nix, for trying and for tests.

Importing this package is cheap, since every command asks at its start whether a lab is up: import
what you need from its modules.
"""
