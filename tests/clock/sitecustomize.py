"""Python imports this at its start where this folder is on its path: see moved_clock."""

import moved_clock

if moved_clock.ahead():
    moved_clock.move(moved_clock.ahead())
