"""What the person giving the tour sees: a line that moves while a step works, its outcome, and a closing table."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from kit.clock import monotonic


@dataclass(slots=True)
class Say:
    """Handed to a step: ``now`` shows what it is doing, ``result`` is what was seen."""

    title: str
    status: Status
    result: str = ""
    console: Console | None = None

    def now(self, text: str) -> None:
        self.status.update(f"[bold]{escape(self.title)}[/]  [dim]{escape(text)}[/]")
        if self.console is not None and not self.console.is_terminal:
            self.console.print(f"  … {text}", highlight=False, markup=False)


@dataclass(slots=True)
class Screen:
    """The terminal; a plain log where there is none."""

    console: Console = field(default_factory=lambda: Console(file=sys.stdout))
    rows: list[tuple[str, str, float]] = field(default_factory=list)

    @contextmanager
    def step(self, title: str, *, counts: bool = True) -> Iterator[Say]:
        """Show a step while it works and, when it is through, what was seen and how long it took."""
        began = monotonic()
        if not self.console.is_terminal:
            self.console.print(f"{title} …", highlight=False)
        with self.console.status(f"[bold]{escape(title)}[/]") as status:
            say = Say(title=title, status=status, console=self.console)
            yield say
        took = monotonic() - began
        if counts:
            self.rows.append((title, say.result, took))
        self.console.print(
            f"[green]✓[/] [bold]{escape(title)}[/]  {took:5.1f} s  {escape(say.result)}", highlight=False
        )

    def failed(self, why: str, clues: str) -> None:
        self.console.print(f"[red]✗ {escape(why)}[/]", highlight=False)
        if clues:
            self.console.print(clues, markup=False, highlight=False, style="dim")

    def table(self) -> None:
        """The closing table."""
        if not self.rows:
            return
        table = Table(title="The tour", title_justify="left", title_style="bold", box=None, pad_edge=False)
        table.add_column("step", style="bold")
        table.add_column("what was seen", overflow="fold")
        table.add_column("took", justify="right")
        for title, seen, took in self.rows:
            table.add_row(escape(title), escape(seen), f"{took:.1f} s")
        self.console.print()
        self.console.print(table)
