"""Lifecycle policies: which images of a repository expire or go to the archive, and why. Pure but for ``sight``."""
