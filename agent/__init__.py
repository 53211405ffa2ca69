"""The agent: runs what the control plane assigns to this host, and reports what happened.

It speaks the protocol of the open-source Amazon ECS agent, drives one container engine through a runtime
driver, and keeps everything it must remember in one data directory. It imports the kit and nothing above it.
"""
