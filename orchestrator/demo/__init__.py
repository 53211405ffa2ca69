"""The tour that ``make demo`` gives: Berth started, used by AWS's own clients for everything it does, and stopped."""
