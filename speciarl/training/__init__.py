"""Training runs: GRPO through TRL on cached verdicts, and the supervised baseline."""
