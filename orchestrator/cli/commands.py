"""The commands: where each is, and what ``--help`` says of it.

Here and not in the modules, so that ``--help`` and completion import none of them.
"""

from __future__ import annotations

from orchestrator.cli.group import Entry, Group

_RUN = Group(
    "Runs from this machine: list, show, logs, pause, resume, abort, retry, prune.",
    """Runs from this machine: what they did, and what becomes of those that are at work.

\b
  orchestrator run list              past runs, newest first
  orchestrator run show              the newest rollout: each wave, each host; or how it ended
  orchestrator run logs 12 p620      what was run for a host, and what it said
  orchestrator run pause 12          no further host begins
  orchestrator run resume 12         go on after a pause; or with a run that was cut off
  orchestrator run abort 12          hosts that began come to their ends, no other begins
  orchestrator run retry             the hosts that failed in the last deployment
  orchestrator run prune --keep 50   remove what older runs left
""",
    {
        "list": ("runs.commands:list_runs", "Past runs, newest first."),
        "show": ("rollout.commands:show", "Where a run is: each wave, each host."),
        "logs": ("runs.commands:logs", "What was run for a host, and what it said."),
        "pause": ("rollout.commands:pause", "Let no further host of a run begin."),
        "resume": ("rollout.commands:resume", "Go on with a paused or interrupted run."),
        "abort": ("rollout.commands:abort", "End a run; hosts that began come to their ends."),
        "retry": ("rollout.commands:retry", "Deploy the hosts that failed in a run."),
        "prune": ("runs.commands:prune", "Remove what old runs left."),
    },
)

_PENDING = Group(
    "What waits for unreachable hosts; deliver it.",
    """What waits for hosts that were unreachable when they were to be deployed.

\b
  orchestrator pending list                 what waits, since when, until when
  orchestrator pending deliver              deliver it where hosts answer now
  orchestrator pending deliver --watch      deliver it as soon as they answer; for a service
""",
    {
        "list": ("offline.commands:list_pending", "What waits, since when, until when."),
        "deliver": ("offline.commands:deliver", "Deliver what waits where hosts answer."),
        "drop": ("offline.commands:drop", "Drop what waits for a host."),
    },
)

_CHANGES = Group(
    "What hosts' evaluations read, and what of it changed.",
    """What hosts' evaluations read, so that what did not change need not be evaluated.

\b
  orchestrator changes affected --since main   the hosts that a branch touches
  orchestrator changes why p620                what p620's evaluation reads, and what changed
  orchestrator changes learn                   learn it now; for CI
""",
    {
        "affected": ("changes.commands:affected", "Which hosts the fleet's changes touch."),
        "why": ("changes.commands:why", "What a host's evaluation reads, and what changed."),
        "learn": ("changes.commands:learn", "Find out what hosts' evaluations read."),
    },
)

_INVENTORY = Group(
    "Show the inventory; write fleet.json.",
    "Look at the inventory. To check it: orchestrator check --inventory.",
    {
        "list": ("inventory.commands:list_", "List the hosts that selectors mean."),
        "show": ("inventory.commands:show", "Each value of a host, and where it comes from."),
        "schema": ("inventory.commands:schema", "JSON Schema of an inventory file, for editors."),
        "shared": ("fleet.commands:shared", "How much of hosts is their own, and what repeats."),
        "generate": ("inventory.commands:generate", "Write inventory/fleet.json."),
    },
)

_CATALOGUE = Group(
    "Features: what hosts can have, and have; turn one on or off.",
    """Features and tiers: what there is, what hosts have and why, and whether machines carry it.

\b
  orchestrator catalogue list                  features and tiers
  orchestrator catalogue show monitoring       one of them: requires, needs, risk, settings, hosts
  orchestrator catalogue status p620           what a host has, why, and whether it runs
  orchestrator catalogue graph --format svg    what requires what
  orchestrator catalogue enable monitoring p620 --set port=9100
""",
    {
        "list": ("catalogue.commands:list_features", "List features and tiers."),
        "show": ("catalogue.commands:show", "One feature: what it requires, needs, takes."),
        "status": ("catalogue.commands:status", "What a host has, why, and whether it runs."),
        "enable": ("catalogue.commands:enable", "Turn a feature on, in the inventory; plan it."),
        "disable": ("catalogue.commands:disable", "Turn a feature off, likewise."),
        "graph": ("catalogue.commands:graph_", "What requires what: text, DOT, SVG."),
        "check": ("catalogue.commands:check", "What nothing implements, or contradicts itself."),
    },
)

_SECRETS = Group(
    "Check and manage the secrets that hosts decrypt.",
    """Check and manage the secrets that hosts decrypt with agenix.

\b
  orchestrator secrets check                  what is wrong, and how to mend it
  orchestrator secrets explain REKEY-NEEDED   what an id means

Secrets are declared in secrets.nix, which is looked for in the fleet's folder and in its secrets/.
Where there is no fleet it is the nearest one in this folder or above; with --rules FILE, any.
""",
    {
        "check": ("secrets.commands.check:check", "Check secrets without a private key."),
        "status": (
            "secrets.commands.check:status",
            "Each secret: who can read it, and what is wrong.",
        ),
        "recipients": (
            "secrets.commands.check:recipients",
            "Each key that secrets are encrypted to.",
        ),
        "explain": (
            "secrets.commands.check:explain",
            "What a finding's id means, and how to mend it.",
        ),
        "create": (
            "secrets.commands.manage:create",
            "Make a secret, in $EDITOR or from standard input.",
        ),
        "edit": (
            "secrets.commands.manage:edit",
            "Change a secret, in $EDITOR or from standard input.",
        ),
        "show": ("secrets.commands.manage:show", "Decrypt a secret to standard output."),
        "rekey": (
            "secrets.commands.manage:rekey",
            "Encrypt secrets to whom secrets.nix names now.",
        ),
        "recover": ("secrets.commands.manage:recover", "Finish an interrupted change."),
    },
)

_SECURITY = Group(
    "What is on hosts that nobody declared.",
    """Hosts, held against their own configurations.

\b
  orchestrator security check p620            sockets, processes, accounts, keys, units, files, …
  orchestrator security vulnerabilities p620 --feed osv/
  orchestrator security check --json '*'    for a script
""",
    {
        "check": ("security.commands:check", "Find what is on hosts that nobody declared."),
        "vulnerabilities": (
            "deploy.commands.vulnerabilities:vulnerabilities",
            "Known vulnerabilities that a deployment fixes, brings and leaves.",
        ),
    },
)

_HOST = Group(
    "One host: add, trust, log in, hold, break its lock.",
    """Add a host, trust its key, log in; keep everybody from deploying it.

\b
  orchestrator host add web1 --address 10.0.0.5
  orchestrator host check web1
  orchestrator host facts web1
  orchestrator host hold p620 --reason "disk swap"
""",
    {
        "add": ("host.commands:add", "Add a host to the inventory, and trust its key."),
        "trust": ("host.commands:trust", "Compare and trust a host's key."),
        "ping": ("host.commands:ping", "Which hosts let us in, and how fast."),
        "check": ("host.commands:check_hosts", "What a host is; what can be promised there."),
        "facts": ("facts.commands:facts", "What hosts are made of, and what changed."),
        "exec": ("host.commands_execute:exec_", "Run a command on hosts, at the same time."),
        "ssh": ("host.commands_execute:ssh", "Log in, the way that deployments do."),
        "generations": ("host.commands:generations", "The systems that a host has."),
        "hold": ("host.commands:hold", "Keep everybody from deploying hosts."),
        "unhold": ("host.commands:unhold", "Lift the holds of hosts."),
        "lock": Group(
            "Break the lock of a deployment that hangs.",
            """The lock that a deployment has on a host while it changes it.

Who has which: orchestrator status --locks. The lock of a deployer that is gone expires by itself,
within two minutes. To keep everybody from a host for longer: orchestrator host hold.
""",
            {"break": ("host.commands:break_lock", "Break a host's lock.")},
        ),
    },
)

_LAB = Group(
    "Real hosts on this machine, to try the fleet on.",
    "Try the fleet on real hosts on this machine: systemd, sshd and Nix in namespaces.",
    {
        "up": ("lab.commands:up", "Start hosts."),
        "down": ("lab.commands:down", "Stop everything that the lab runs."),
        "status": ("lab.commands:status", "Each host's address and state."),
        "ssh": ("lab.commands:ssh", "Open a shell on a host, or run a command there."),
        "console": ("lab.commands:console", "What a host printed on its console."),
        "fault": ("lab.commands:fault", "Put a fault into a host."),
    },
)

SECTIONS: dict[str, dict[str, Entry]] = {
    "Every day": {
        "deploy": ("deploy.commands.deploy:deploy", "Bring hosts to what the fleet says."),
        "plan": ("deploy.commands.deploy:plan", "Say what a deployment would do; touch nothing."),
        "build": ("deploy.commands.deploy:build", "Build hosts' systems; contact no host."),
        "status": ("host.commands:status", "What runs where, and who deployed it; locks."),
        "diff": ("deploy.commands.deploy:diff", "What a deployment would change on a host."),
        "rollback": ("deploy.commands.rollback:rollback", "Return hosts to what they ran."),
        "update": ("fleet.commands:update", "Move the flake's pins; commit what evaluates."),
    },
    "Runs": {"run": _RUN, "pending": _PENDING},
    "Checks": {
        "check": ("fleet.commands:check", "Check inventory, syntax, secrets, evaluation."),
        "secrets": _SECRETS,
        "security": _SECURITY,
        "risk": ("risk.commands:risk", "What hosts' configurations open, and to whom."),
        "changes": _CHANGES,
    },
    "The fleet": {
        "init": ("init.commands:init", "Make an inventory for a fleet that is there already."),
        "inventory": _INVENTORY,
        "catalogue": _CATALOGUE,
        "option": ("fleet.commands:option", "An option's value, and who defines it."),
        "format": ("fleet.commands:format_files", "Format every Nix file."),
    },
    "Hosts": {"host": _HOST},
    "This machine": {
        "doctor": ("fleet.commands:doctor", "Whether this machine has what it takes."),
        "lab": _LAB,
        "completion": ("cli.main:completion", "Print a shell's completion."),
    },
}
"""Section of ``--help`` → command → what it is, in the order in which people need them."""

RENAMED = {
    "affected": "changes affected",
    "catch-up": "pending deliver",
    "check-syntax": "check --syntax",
    "ci": "check --frozen --inventory --syntax --secrets --build",
    "drop": "pending drop",
    "emergency-deploy": "deploy HOST --emergency REASON",
    "generations": "host generations",
    "history": "run list",
    "hold": "host hold",
    "inventory check": "check --inventory",
    "learn": "changes learn",
    "lock": "status --locks",
    "lock show": "status --locks",
    "lock steal": "host lock break",
    "ping": "host ping",
    "release": "host unhold",
    "resume": "run resume",
    "rollout": "run show",
    "rollout abort": "run abort",
    "rollout pause": "run pause",
    "rollout resume": "run resume",
    "rollout show": "run show",
    "validate": "check",
    "watch": "pending deliver --watch",
    "why": "changes why",
    "--absent": "--unreachable",
    "--all-at-once": "--no-waves",
    "--budget": "--max-failures",
    "--despite-hold": "--override-hold",
    "--retry-failed": "run retry",
    "--when-spent": "--on-failure",
}
"""What commands and options were called → what to type today: for the error that names it."""
