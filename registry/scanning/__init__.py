"""Scanning: what packages an image holds, and which known vulnerabilities those have.

Layers are streams that are read once, in order and within limits; nothing of an image is ever written to the file
system under a name it chose. What packages were found is kept, so that new knowledge is matched without reading
layers again.
"""
