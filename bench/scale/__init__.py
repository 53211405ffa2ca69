"""Benchmarks at scale: the engine alone, packing, scheduling delay, and millions of tasks on a simulated fleet.

What is simulated and what it is held against stands above every table.
"""
