"""The commands: where each is, and what ``--help`` says of it."""

from __future__ import annotations

# Section → command → its module and object, and a line. Here and not in the modules, so that
# `--help` imports none of them.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Deploy": {
        "plan": ("deploy:plan", "Say what a deployment would do; touch nothing."),
        "deploy": ("deploy:deploy", "Bring hosts to what the fleet says."),
        "emergency-deploy": ("deploy:emergency_deploy", "Deploy one host, without checks."),
        "build": ("deploy:build", "Build hosts' systems, contact no host."),
        "ci": ("deploy:ci", "Check everything and build every host; for CI."),
    },
    "Go back, or go on": {
        "rollback": ("rollback:rollback", "Take hosts back to what they ran."),
        "generations": ("generations:generations", "Which systems a host may go back to."),
        "resume": ("rollout:resume_run", "Go on with a run that was cut off."),
        "rollout": ("rollout:rollout", "Pause, resume or abort a run that goes on."),
    },
    "Look": {
        "status": ("status:status", "What runs where, and who deployed it."),
        "ping": ("status:ping", "Which hosts answer."),
        "diff": ("diff:diff", "What a deployment would change on a host."),
        "history": ("history:history", "Past runs from this machine."),
        "why": ("learn:why", "What a host's evaluation reads, and what changed."),
        "affected": ("learn:affected", "Which hosts the fleet's changes touch."),
    },
    "Keep others away": {
        "lock": ("lock:lock", "Who is at work on which host; take a lock away."),
        "hold": ("lock:hold", "Keep everybody from deploying hosts."),
        "release": ("lock:release", "Lift the holds of hosts."),
    },
    "Hosts that are away": {
        "pending": ("pending:pending", "What waits for hosts that were absent."),
        "catch-up": ("pending:catch_up", "Deliver what waits, where hosts answer."),
        "watch": ("pending:watch", "Deliver what waits as soon as hosts answer."),
    },
    "The fleet's files": {
        "inventory": ("inventory:inventory", "Show and check the inventory."),
        "validate": ("check:validate", "Check inventory, syntax, evaluation, secrets."),
        "check-syntax": ("check:check_syntax", "Parse every Nix file."),
        "format": ("check:format_files", "Format every Nix file."),
        "update": ("update:update", "Move the flake's pins; commit what evaluates."),
        "learn": ("learn:learn", "Find out what hosts' evaluations read."),
    },
    "Secrets": {
        "secrets": ("secrets.group:secrets", "Prove and manage the secrets that hosts decrypt."),
    },
    "Hosts and this machine": {
        "host": ("host:host", "Add a host; trust its key; log in."),
        "doctor": ("doctor:doctor", "Whether this machine has what it takes."),
        "lab": ("lab:lab", "Real hosts on this machine, for trying and tests."),
        "completion": ("completion:completion", "Print a shell's completion."),
    },
}

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
"""Every command by its name."""
