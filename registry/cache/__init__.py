"""The pull-through cache: repositories whose images are pulled from another registry when they are first asked for."""
