"""Judges of (class, prediction) pairs, from free and certain to paid and fallible."""
