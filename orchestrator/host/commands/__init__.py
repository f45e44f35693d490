"""``status``, ``ping``, ``lock``, ``hold``, ``release``, ``host``, ``generations``."""
