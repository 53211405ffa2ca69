"""What the host agent costs and how quick it is, and how many agents one control plane holds."""
