"""The OCI distribution protocol over a real socket: every row, and every trap that conformance suites lay."""
