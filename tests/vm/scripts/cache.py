"""A host that fetches its system from a cache, and believes one key."""


def use_key(public: str) -> None:
    """Have the host fetch from the deployer's cache, and trust a key."""
    inventory = json.loads(deployer.succeed("cat /etc/fleet/inventory/hosts.yaml"))
    inventory["caches"] = {
        "lan": {
            "url": "http://deployer:8080",
            "public_key": public,
            "push": "file:///srv/cache",
            "secret_key": "/root/lan.secret",
        }
    }
    inventory["hosts"]["web"]["substitute"] = "lan"
    deployer.succeed(
        "printf %s " + shlex.quote(json.dumps(inventory)) + " > /root/fleet/inventory/hosts.yaml"
    )


start_all()
prepare()
deployer.wait_for_open_port(8080)
for name in ("lan", "other"):
    deployer.succeed(
        f"nix-store --generate-binary-cache-key {name}-1 /root/{name}.secret /root/{name}.public"
    )
before = web.succeed("readlink -f /run/current-system")

with subtest("what another key signed is not taken, and the host is as before"):
    use_key(deployer.succeed("cat /root/other.public").strip())
    result = outcome_of(deploy("next", expected=1), "failed")
    assert "without a valid signature by other-1" in result["reason"], result
    assert web.succeed("readlink -f /run/current-system") == before

with subtest("what the right key signed is fetched, with its signature"):
    use_key(deployer.succeed("cat /root/lan.public").strip())
    system = outcome_of(deploy("next"), "deployed")["out_path"]
    assert web.succeed("readlink -f /run/current-system").strip() == system
    known = web.succeed(f"nix --extra-experimental-features nix-command path-info --sigs {system}")
    assert "lan-1:" in known, known
