"""A service and its operations: where handlers are bound to the names in botocore's model.

``@ecs.operation("StopTask")`` fails at import when the model has no such operation or it is bound twice. Creating a
Service costs nothing; its model is loaded when the first operation is bound or looked at.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from botocore.model import OperationModel, ServiceModel

from kit.aws.model import load_model

Handler = Callable[[Any, dict[str, Any]], dict[str, Any] | None]
Authorize = Callable[[Any, str, dict[str, Any]], None]
"""Raises AccessDeniedException unless the caller of a call may run the named operation with these parameters."""

_READS = ("Describe", "List", "Get", "BatchGet", "BatchCheck")


class UnknownOperationName(Exception):
    """A handler was bound to a name that the service's model does not have. Always a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A bound operation; ``readonly`` tells whether it may run on a replica or without a write transaction,
    ``outside`` that it runs outside of any transaction and opens its own: it waits for more than the store.
    ``own_token``: a client token is the handler's business."""

    name: str
    handler: Handler
    readonly: bool
    outside: bool = False
    own_token: bool = False


class Service:
    """One AWS service, by its botocore name, with the operations that Berth has built.

    Who may run an operation is a matter of the caller's actions alone, unless the service brings ``authorize``: then
    that is asked instead, in the handler's transaction, and must ask for the caller's actions as well. A service with
    ``own_tokens`` honours client tokens in its handlers, which find them among their parameters. ``unlisted`` are
    members that its public model lacks, as ``load_model`` takes them.
    """

    def __init__(
        self,
        name: str,
        *,
        model: ServiceModel | None = None,
        authorize: Authorize | None = None,
        own_tokens: bool = False,
        unlisted: Iterable[tuple[str, str, str]] = (),
    ) -> None:
        self.name = name
        self._unlisted = tuple(unlisted)
        self.authorize = authorize
        self.own_tokens = own_tokens
        self._model = model
        self._operations: dict[str, Operation] = {}

    def __repr__(self) -> str:
        return f"Service({self.name!r})"

    @property
    def model(self) -> ServiceModel:
        """botocore's model of the service, loaded when first asked for."""
        if self._model is None:
            self._model = load_model(self.name, *self._unlisted)
        return self._model

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What is bound, by operation name."""
        return MappingProxyType(self._operations)

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """The bound handlers by operation name."""
        return {name: operation.handler for name, operation in self._operations.items()}

    def operation(
        self, name: str, *, readonly: bool | None = None, outside: bool = False, own_token: bool = False
    ) -> Callable[[Handler], Handler]:
        """Bind a handler to an operation. Describe*, List*, Get*, BatchGet* and BatchCheck* count as read-only."""
        if name not in self.model.operation_names:
            raise UnknownOperationName(f"{self.name} has no operation {name!r}")
        if name in self._operations:
            raise UnknownOperationName(f"{self.name}:{name} is already bound")
        if self.operation_model(name).has_event_stream_output:
            raise UnknownOperationName(f"{self.name}:{name} answers with an event stream, which no wire here writes")
        reads = name.startswith(_READS) if readonly is None else readonly

        def bind(handler: Handler) -> Handler:
            self._operations[name] = Operation(
                name=name, handler=handler, readonly=reads, outside=outside, own_token=own_token
            )
            return handler

        return bind

    def operation_model(self, name: str) -> OperationModel:
        """The model of one operation, bound or not."""
        return self.model.operation_model(name)

    def absent(self) -> list[str]:
        """The operations of the model that nothing is bound to, sorted."""
        return sorted(set(self.model.operation_names) - set(self._operations))

    @property
    def signing_name(self) -> str:
        """The service's name in a SigV4 credential scope."""
        return str(self.model.signing_name)
