"""The policy: model and processor, prompts, and the miniature that the pipeline trains."""
