"""Images: what to pull under which name and login, one pull for all who want it, and what is no longer needed.

``images`` is what a launch asks; ``pulls`` shares and repeats, ``logins`` asks ECR, ``records`` keeps on the disk
what was pulled here, and ``cleaner`` removes of that what nobody uses.
"""

from agent.images.images import Images, PullBehavior, remedy
from agent.images.logins import EcrLogins
from agent.images.pulls import CannotPull

__all__ = ["CannotPull", "EcrLogins", "Images", "PullBehavior", "remedy"]
