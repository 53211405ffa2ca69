"""Every table: importing this fills ``Base.metadata``."""

import importlib
import pkgutil

import state

for _module in pkgutil.iter_modules(state.__path__, "state."):
    if _module.name != __name__ and not _module.ispkg:
        importlib.import_module(_module.name)
