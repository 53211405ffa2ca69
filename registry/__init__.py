"""The registry: keeps images. It speaks the OCI distribution protocol to ``docker``, ``skopeo`` and the agents.

``storage/`` holds drivers for blobs' bytes; ``http/`` the protocol, a file per noun; the files beside them
what both the protocol and the ECR API do with images. A push is visible when its manifest's transaction is
committed. Deleting hides: the bytes of blobs nobody needs are removed by the garbage collector alone.
"""
