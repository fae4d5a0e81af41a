"""A Qwen2.5-VL of one million parameters and the curriculum that gives it its habits."""
