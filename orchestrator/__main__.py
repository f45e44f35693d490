"""``python -m orchestrator``: the command, whatever the PATH is."""

from orchestrator.cli.start import start

start()
