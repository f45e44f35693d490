"""What hosts can have: features and tiers, what they need of a machine, and who has them why."""
