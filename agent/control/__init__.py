"""The control plane as the agent sees it: signed calls, two WebSockets that are kept open, and reports."""
