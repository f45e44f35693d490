# What people type. Each recipe but the last is one call of `orchestrator`; it alone decides, and its
# exit code is the recipe's: docs/exit-codes.md.

set positional-arguments

orchestrator := if path_exists(justfile_directory() / ".venv/bin/orchestrator") == "true" { justfile_directory() / ".venv/bin/orchestrator" } else { "orchestrator" }

# The recipes
[private]
default:
    @just --list --unsorted --justfile "{{ justfile() }}"

# Deploy a host if anything changed; "unchanged" at once if not
quick-deploy +HOSTS:
    @"{{ orchestrator }}" deploy "$@"

# Deploy the machine that you sit on
deploy *OPTIONS:
    @"{{ orchestrator }}" deploy --this-machine "$@"

# Deploy p620
p620 *OPTIONS:
    @"{{ orchestrator }}" deploy p620 "$@"

# Deploy razer
razer *OPTIONS:
    @"{{ orchestrator }}" deploy razer "$@"

# Deploy samsung
samsung *OPTIONS:
    @"{{ orchestrator }}" deploy samsung "$@"

# Deploy p510
p510 *OPTIONS:
    @"{{ orchestrator }}" deploy p510 "$@"

# Deploy dex5550
dex5550 *OPTIONS:
    @"{{ orchestrator }}" deploy dex5550 "$@"

# Deploy every host, one after the other
deploy-all *OPTIONS:
    @"{{ orchestrator }}" deploy --one-by-one "$@"

# Deploy every host at the same time
deploy-all-parallel *OPTIONS:
    @"{{ orchestrator }}" deploy "$@"

# Deploy with fewer build steps: what a host has already is neither built nor copied; it is verified
deploy-fast +HOSTS:
    @"{{ orchestrator }}" deploy --fast "$@"

# Deploy what is built on this machine, whatever the inventory says
deploy-local-build +HOSTS:
    @"{{ orchestrator }}" deploy --build-on here "$@"

# Deploy with binary caches; refuse where one of them does not answer
deploy-cached +HOSTS:
    @"{{ orchestrator }}" deploy --check-caches "$@"

# Deploy one host now, without verification and most checks; say why: --emergency "the site is down"
emergency-deploy HOST *OPTIONS:
    @"{{ orchestrator }}" deploy --emergency "no reason given" "$@"

# What a deployment would do, and why; nothing is touched
plan *HOSTS:
    @"{{ orchestrator }}" plan "$@"

# What a deployment would change on a host, against what it runs
diff HOST *OPTIONS:
    @"{{ orchestrator }}" diff "$@"

# What runs where
status *HOSTS:
    @"{{ orchestrator }}" status "$@"

# Who is at work on which host, and who keeps everybody from one
lock *HOSTS:
    @"{{ orchestrator }}" status --locks "$@"

# Keep everybody from deploying a host: just hold p620 --reason "disk swap"
hold HOST *OPTIONS:
    @"{{ orchestrator }}" host hold "$@"

# Lift a host's hold
release *HOSTS:
    @"{{ orchestrator }}" host unhold "$@"

# Return hosts to what they ran before their last deployment; or --run RUN, or --to GENERATION
rollback *HOSTS:
    @"{{ orchestrator }}" rollback "$@"

# The systems that a host may return to
generations HOST:
    @"{{ orchestrator }}" host generations "$@"

# What waits for unreachable hosts, and until when
pending:
    @"{{ orchestrator }}" pending list

# Deliver what waits, where hosts answer now
catch-up *HOSTS:
    @"{{ orchestrator }}" pending deliver "$@"

# Which hosts let us in
ping-hosts *HOSTS:
    @"{{ orchestrator }}" host ping "$@"

# A shell on a host, by the connection that deployments take
ssh HOST *OPTIONS:
    @"{{ orchestrator }}" host ssh "$@"

# A command on hosts, at the same time: just exec tag:web -- systemctl is-active nginx
exec +HOSTS:
    @"{{ orchestrator }}" host exec "$@"

# Inventory, syntax, secrets, and the evaluation of every host
validate *HOSTS:
    @"{{ orchestrator }}" check "$@"

# Inventory, syntax and secrets; no host is evaluated
validate-quick:
    @"{{ orchestrator }}" check --inventory --syntax --secrets

# Check and manage secrets: just secrets check, just secrets status
secrets *ARGUMENTS:
    @"{{ orchestrator }}" secrets "$@"

# Parse every Nix file
check-syntax:
    @"{{ orchestrator }}" check --syntax

# Format every Nix file
format *OPTIONS:
    @"{{ orchestrator }}" format "$@"

# Build one host's system; it is not contacted
test-host HOST *OPTIONS:
    @"{{ orchestrator }}" build "$@"

# Build every host's system, one after the other
test-all *OPTIONS:
    @"{{ orchestrator }}" build --one-by-one "$@"

# Build every host's system at the same time
test-all-parallel *OPTIONS:
    @"{{ orchestrator }}" build "$@"

# Build every host's system at the same time, or those named
quick-test *HOSTS:
    @"{{ orchestrator }}" build "$@"

# Deploy every host that changed, if every host builds
quick-all *OPTIONS:
    @"{{ orchestrator }}" deploy --all-must-build "$@"

# Evaluate each template, profile and feature by itself, and in its smallest host
test-modules *OPTIONS:
    @"{{ orchestrator }}" check --modules "$@"

# The whole pipeline: checks, then every system built
ci *OPTIONS:
    @"{{ orchestrator }}" check --frozen --inventory --syntax --secrets --build "$@"

# Move pins; if every host evaluates and builds, commit them and deploy what changed
update *INPUTS:
    @"{{ orchestrator }}" update --through all "$@"

# Move all pins, and commit them when every host still evaluates
update-flake:
    @"{{ orchestrator }}" update

# Move one pin, and commit it when every host still evaluates
update-input NAME:
    @"{{ orchestrator }}" update "$@"

# Real hosts on this machine, for trying
lab-up *HOSTS:
    @"{{ orchestrator }}" lab up "$@"

# End them
lab-down *OPTIONS:
    @"{{ orchestrator }}" lab down "$@"

# Measure it, beside other tools where they are on the PATH, and write docs/performance.md
perf-test *OPTIONS:
    @"{{ justfile_directory() }}/scripts/perf-test" "$@"

# Faults in every phase of a deployment, and what came of each; --write puts it into docs/reliability.md
fault-test *OPTIONS:
    @"{{ justfile_directory() }}/scripts/fault-test" "$@"
