"""A secret by agenix: proved before the host is changed, and decrypted by its own key."""

start_all()
web.wait_for_unit("multi-user.target")
web.wait_for_file("/etc/ssh/ssh_host_ed25519_key.pub")
prepare()
before = web.succeed("readlink -f /run/current-system")

with subtest("a host whose key does not open its secret is refused, and not changed"):
    refused = outcome_of(deploy("next", expected=4), "failed")
    assert refused["checks"] == ["secrets"], refused
    assert web.succeed("readlink -f /run/current-system") == before

with subtest("with the right key the secret is there, for root alone"):
    key = shlex.quote(deployer.succeed("cat /etc/deployer-key"))
    web.succeed(
        f"printf %s {key} > /etc/ssh/ssh_host_ed25519_key",
        "ssh-keygen -y -f /etc/ssh/ssh_host_ed25519_key > /etc/ssh/ssh_host_ed25519_key.pub",
        "systemctl restart sshd",
    )
    trust()
    outcome_of(deploy("next"), "deployed")
    assert web.succeed("cat /run/agenix/token") == "a token\n"
    assert web.succeed("stat -L -c '%U %a' /run/agenix/token") == "root 400\n"

with subtest("the secret is there after a boot"):
    web.shutdown()
    web.start()
    web.wait_for_unit("multi-user.target")
    assert web.succeed("cat /run/agenix/token") == "a token\n"
