"""What the agent says of itself when it joins."""

AGENT_VERSION = "0.1.0"
AGENT_HASH = "berth"
