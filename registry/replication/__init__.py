"""Replication: sending what is pushed here to other Berths, once a push, without settings, deletions or chains."""
