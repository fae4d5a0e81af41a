"""Judges of (class, answer) pairs, from free and certain to paid and fallible."""
