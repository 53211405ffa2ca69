"""The whole control plane and its hosts in one thread, on a manual clock, with every choice drawn from one seed.

Everything decided here is real: gateway, frame, handlers, store, loops, conversations, agents' engines and reporters.
Simulated are the container engines, the network between the processes, the provisioner, time, and death.
"""
