"""``python -m orchestrator.demo``: give the tour on this machine's Docker Engine; exit code 0 when all of it worked."""

import signal
import sys
from types import FrameType

from orchestrator.demo.screen import Screen
from orchestrator.demo.stage import Stage
from orchestrator.demo.tour import STEPS, StepFailed


def main() -> int:
    """Walk the steps; whatever happens, what was started is stopped again."""

    def interrupted(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    screen = Screen()
    stage = Stage()
    code = 1
    try:
        for title, step in STEPS:
            with screen.step(title) as say:
                say.result = step(stage, say)
        code = 0
    except StepFailed as error:
        screen.failed(str(error), stage.clues())
    except KeyboardInterrupt:
        screen.failed("interrupted", "")
        code = 130
    except Exception as error:
        screen.failed(f"{type(error).__name__}: {error}", stage.clues())
    finally:
        # From here on Ctrl-C would leave things behind.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with screen.step("Stop and clean up", counts=False) as say:
            left = stage.clean()
            say.result = "nothing left running" if not left else "left behind: " + ", ".join(left)
    screen.table()
    return code if not left else code or 1


if __name__ == "__main__":
    sys.exit(main())
