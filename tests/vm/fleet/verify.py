"""What hosts of the VM tests must show: the deployer's tests/verify/test_every_host.py."""


def test_variant(host):
    """Every variant is right, but for the one that is called broken; a slow one takes its time."""
    variant = host.file("/etc/variant").content_string.strip()
    if variant == "slow":
        host.run("sleep 600")
    assert variant != "broken"
