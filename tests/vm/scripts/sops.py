"""A secret by sops-nix, which is decrypted at activation and not proved before it."""

start_all()
web.wait_for_unit("multi-user.target")
prepare()
before = web.succeed("readlink -f /run/current-system")

with subtest("a host without the key is rolled back"):
    outcome_of(deploy("next", expected=1), "rolled_back")
    assert web.succeed("readlink -f /run/current-system") == before

with subtest("with the key the secret is there"):
    key = shlex.quote(deployer.succeed("cat /root/fleet/sops-keys.txt"))
    web.succeed(
        "mkdir -p -m 0700 /var/lib/sops",
        f"printf %s {key} > /var/lib/sops/keys.txt",
    )
    outcome_of(deploy("next"), "deployed")
    assert "test_value" in web.succeed("cat /run/secrets/test_key")
