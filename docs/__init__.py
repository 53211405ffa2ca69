"""Pages: some written by hand, some made from code by ``python -m docs.generate``."""
