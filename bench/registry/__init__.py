"""The registry's benchmarks: Berth's ``berth registry`` beside CNCF distribution (Debian's ``docker-registry``).

Same machine, same run, same client; both serve from a folder on the same disk, as processes of their own on loopback.
"""
