"""Configurations of log routers, in the forms of Fluentd and Fluent Bit. Pure.

Inputs are a socket for the engine's log driver, and a port for programs; records are marked with the task they are
of; whatever file the router is told of is included; then comes one output for each container, of its own options.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from agent.tasks.routers import RouterType

SOCKET = "/var/run/fluent.sock"
PORT = 24224
HEALTH_PORT = 8877
INCLUDE = "include-pattern"
EXCLUDE = "exclude-pattern"
# Of the log driver, not of the router's output.
DRIVER_OPTIONS = ("log-driver-buffer-limit",)
OUTPUT_NAME = {RouterType.FLUENTD: "@type", RouterType.FLUENTBIT: "Name"}


class BadOptions(Exception):
    """No configuration can be made of these options; the text names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a container says of its log; ``tag`` is what its records' tags begin with."""

    container: str
    tag: str
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouterConfig:
    """``listen`` is the address for programs, or empty; ``record`` is added to every record."""

    type: RouterType
    listen: str = ""
    record: Mapping[str, str] = field(default_factory=dict)
    include: str = ""
    outputs: tuple[Output, ...] = ()


def render_config(config: RouterConfig) -> str:
    """The router's configuration file. Raises BadOptions."""
    for output in config.outputs:
        _check(config.type, output)
    make: Callable[[RouterConfig], Iterator[str]]
    make = _fluentd if config.type is RouterType.FLUENTD else _fluentbit
    return "\n".join(make(config)) + "\n"


def _check(kind: RouterType, output: Output) -> None:
    name = OUTPUT_NAME[kind]
    # Without any options of an output, it is for the router's own file to say where the log goes.
    if not output.options.get(name) and _own(kind, output):
        raise BadOptions(
            f"unable to apply log options of container {output.container} to firelens config: missing output key "
            f"{name} which is required for firelens configuration of type {kind}"
        )
    for option, value in output.options.items():
        if "\n" in option + value or any(c.isspace() for c in option):
            raise BadOptions(f"container {output.container}: log option {option!r} does not fit on a line")


def _own(kind: RouterType, output: Output) -> dict[str, str]:
    """The options of the output's plugin."""
    others = (OUTPUT_NAME[kind], INCLUDE, EXCLUDE, *DRIVER_OPTIONS)
    return {name: value for name, value in output.options.items() if name not in others}


def _told(config: RouterConfig) -> list[Output]:
    """The containers' outputs that are told by options."""
    return [output for output in config.outputs if output.options.get(OUTPUT_NAME[config.type])]


def _fluentbit(config: RouterConfig) -> Iterator[str]:
    def section(kind: str, *pairs: tuple[str, str]) -> Iterator[str]:
        yield f"[{kind}]"
        yield from (f"    {name} {value}" for name, value in pairs)
        yield ""

    yield from section("INPUT", ("Name", "forward"), ("unix_path", SOCKET))
    if config.listen:
        yield from section("INPUT", ("Name", "forward"), ("Listen", config.listen), ("Port", str(PORT)))
        yield from section(
            "INPUT",
            ("Name", "tcp"),
            ("Tag", "firelens-healthcheck"),
            ("Listen", "127.0.0.1"),
            ("Port", str(HEALTH_PORT)),
        )
    for output in config.outputs:
        for option, rule in ((INCLUDE, "Regex"), (EXCLUDE, "Exclude")):
            if pattern := output.options.get(option):
                yield from section("FILTER", ("Name", "grep"), ("Match", f"{output.tag}*"), (rule, f"log {pattern}"))
    if config.record:
        records = [("Record", f"{name} {value}") for name, value in config.record.items()]
        yield from section("FILTER", ("Name", "record_modifier"), ("Match", "*"), *records)
    if config.include:
        yield from (f"@INCLUDE {config.include}", "")
    if config.listen:
        yield from section("OUTPUT", ("Name", "null"), ("Match", "firelens-healthcheck"))
    for output in _told(config):
        own = _own(config.type, output)
        yield from section("OUTPUT", ("Name", output.options["Name"]), ("Match", f"{output.tag}*"), *own.items())


def _fluentd(config: RouterConfig) -> Iterator[str]:
    yield from ("<source>", "  @type unix", f"  path {SOCKET}", "</source>", "")
    if config.listen:
        yield from ("<source>", "  @type forward", f"  bind {config.listen}", f"  port {PORT}", "</source>", "")
    for output in config.outputs:
        for option, rule in ((INCLUDE, "regexp"), (EXCLUDE, "exclude")):
            if pattern := output.options.get(option):
                yield from (f"<filter {output.tag}**>", "  @type grep", f"  <{rule}>")
                yield from ("    key log", f"    pattern {pattern}", f"  </{rule}>", "</filter>", "")
    if config.record:
        yield from ("<filter **>", "  @type record_transformer", "  <record>")
        yield from (f"    {name} {value}" for name, value in config.record.items())
        yield from ("  </record>", "</filter>", "")
    if config.include:
        yield from (f"@include {config.include}", "")
    for output in _told(config):
        yield from (f"<match {output.tag}**>", f"  @type {output.options['@type']}")
        yield from (f"  {name} {value}" for name, value in _own(config.type, output).items())
        yield from ("</match>", "")
