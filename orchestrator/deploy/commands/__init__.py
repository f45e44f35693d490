"""``deploy``, ``plan``, ``build``, ``emergency-deploy``, ``ci``, ``rollback``, ``diff``."""
