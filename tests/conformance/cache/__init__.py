"""The pull-through cache on real sockets."""
