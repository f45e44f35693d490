"""The commands: where each is, and what ``--help`` says of it."""

from __future__ import annotations

# Section → command → its module and object, and a line. Here and not in the modules, so that
# `--help` imports none of them.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Deploy": {
        "plan": ("deploy.commands.deploy:plan", "Say what a deployment would do; touch nothing."),
        "deploy": ("deploy.commands.deploy:deploy", "Bring hosts to what the fleet says."),
        "emergency-deploy": (
            "deploy.commands.deploy:emergency_deploy",
            "Deploy one host, without checks.",
        ),
        "build": ("deploy.commands.deploy:build", "Build hosts' systems, contact no host."),
        "ci": ("deploy.commands.deploy:ci", "Check everything and build every host; for CI."),
    },
    "Go back, or go on": {
        "rollback": ("deploy.commands.rollback:rollback", "Take hosts back to what they ran."),
        "generations": (
            "host.commands.generations:generations",
            "Which systems a host may go back to.",
        ),
        "resume": ("rollout.commands:resume_run", "Go on with a run that was cut off."),
        "rollout": (
            "rollout.commands:rollout",
            "Pause, resume or abort a run that goes on.",
        ),
    },
    "Look": {
        "status": ("host.commands.status:status", "What runs where, and who deployed it."),
        "ping": ("host.commands.status:ping", "Which hosts answer."),
        "diff": ("deploy.commands.diff:diff", "What a deployment would change on a host."),
        "history": ("runs.commands:history", "Past runs from this machine."),
        "why": ("changes.commands:why", "What a host's evaluation reads, and what changed."),
        "affected": ("changes.commands:affected", "Which hosts the fleet's changes touch."),
    },
    "Keep others away": {
        "lock": ("host.commands.lock:lock", "Who is at work on which host; take a lock away."),
        "hold": ("host.commands.lock:hold", "Keep everybody from deploying hosts."),
        "release": ("host.commands.lock:release", "Lift the holds of hosts."),
    },
    "Hosts that are away": {
        "pending": ("offline.commands:pending", "What waits for hosts that were absent."),
        "catch-up": (
            "offline.commands:catch_up",
            "Deliver what waits, where hosts answer.",
        ),
        "watch": ("offline.commands:watch", "Deliver what waits as soon as hosts answer."),
    },
    "The fleet's files": {
        "inventory": ("inventory.commands:inventory", "Show and check the inventory."),
        "validate": (
            "fleet.commands.check:validate",
            "Check inventory, syntax, evaluation, secrets.",
        ),
        "check-syntax": ("fleet.commands.check:check_syntax", "Parse every Nix file."),
        "format": ("fleet.commands.check:format_files", "Format every Nix file."),
        "update": (
            "fleet.commands.update:update",
            "Move the flake's pins; commit what evaluates.",
        ),
        "learn": ("changes.commands:learn", "Find out what hosts' evaluations read."),
    },
    "Secrets": {
        "secrets": (
            "secrets.commands.group:secrets",
            "Prove and manage the secrets that hosts decrypt.",
        ),
    },
    "Hosts and this machine": {
        "host": ("host.commands.host:host", "Add a host; trust its key; log in."),
        "doctor": ("fleet.commands.doctor:doctor", "Whether this machine has what it takes."),
        "lab": ("lab.commands:lab", "Real hosts on this machine, for trying and tests."),
        "completion": ("cli.completion:completion", "Print a shell's completion."),
    },
}

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
"""Every command by its name."""
