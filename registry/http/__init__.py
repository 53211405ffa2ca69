"""The distribution protocol over HTTP, a file per noun. Handlers are coroutines; what blocks runs in threads."""
