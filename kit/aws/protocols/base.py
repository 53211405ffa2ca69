"""What all protocols share: a Wire reads a request into a handler's input, and writes answers and errors."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.model import OperationModel, ServiceModel

from kit.aws import errors
from kit.aws.constraints import Trouble
from kit.aws.errors import AwsError
from kit.aws.http import HttpRequest, HttpResponse
from kit.aws.model import ErrorFacts, operation_errors, service_errors
from kit.aws.reading import Readers
from kit.aws.writing import Mismatches

log = logging.getLogger(__name__)

# What each service answers when a constraint is broken, in order of preference; others take ValidationException.
_VALIDATION_CODES = {
    "ecs": ("InvalidParameterException", "ClientException"),
    "ecr": ("InvalidParameterException", "ValidationException"),
    "logs": ("InvalidParameterException", "ValidationException"),
    "batch": ("ClientException",),
    "sts": ("ValidationError",),
    "iam": ("ValidationError",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error as it will be told: ``facts`` is set when the model knows the error's shape."""

    code: str
    status: int
    message: str
    facts: ErrorFacts | None = None
    members: dict[str, Any] = field(default_factory=dict)


class Wire(ABC):
    """One service's protocol, with its compiled shapes."""

    def __init__(self, model: ServiceModel, *, strict: bool = False) -> None:
        self.model = model
        self.mismatches = Mismatches(strict=strict)
        self.readers = Readers(model)
        self._errors: dict[str | None, Mapping[str, ErrorFacts]] = {}

    @abstractmethod
    def tree(self, request: HttpRequest, operation: OperationModel) -> dict[str, Any]:
        """The request's input as a tree of wire names and JSON values, not checked yet."""

    @abstractmethod
    def answer(self, operation: OperationModel, result: Mapping[str, Any], request_id: str) -> HttpResponse:
        """The response that carries a handler's result."""

    @abstractmethod
    def _refuse(self, refusal: Refusal, request_id: str) -> HttpResponse: ...

    def read(self, request: HttpRequest, operation: OperationModel) -> dict[str, Any]:
        """The handler's input, typed and checked. Raises the service's own error when it is not valid."""
        try:
            tree = self.tree(request, operation)
            if operation.input_shape is None:
                return {}
            trouble = Trouble()
            params = self.readers.reader(operation.input_shape)(tree, None, None, trouble)
        except RecursionError:
            raise errors.SerializationException("The request is nested too deeply") from None
        if trouble.findings:
            raise self.invalid(operation, trouble.message())
        return dict(params)

    def refuse(self, operation: OperationModel | None, error: AwsError, request_id: str) -> HttpResponse:
        """The response that carries an error."""
        return self._refuse(self._refusal(operation, error), request_id)

    def invalid(self, operation: OperationModel, message: str) -> AwsError:
        """The service's own validation error, with the first of its codes that the operation declares."""
        codes = _VALIDATION_CODES.get(self.model.service_name, ("ValidationException",))
        declared = self.errors(operation)
        return errors.CodedError(next((code for code in codes if code in declared), codes[0]), message)

    def errors(self, operation: OperationModel | None) -> Mapping[str, ErrorFacts]:
        """The declared errors of an operation, or of the whole service, by code."""
        name = operation.name if operation is not None else None
        found = self._errors.get(name)
        if found is None:
            found = service_errors(self.model) if operation is None else operation_errors(operation)
            self._errors[name] = found
        return found

    def _refusal(self, operation: OperationModel | None, error: AwsError) -> Refusal:
        facts = self.errors(operation).get(error.code)
        if facts is None and error.code not in errors.COMMON_CODES:
            facts = self.errors(None).get(error.code)
            validation = _VALIDATION_CODES.get(self.model.service_name, ())
            if operation is not None and error.code not in validation:
                self.mismatches.report(f"{self.model.service_name}:{operation.name} declares no {error.code}")
        return Refusal(
            code=error.code,
            status=facts.status if facts is not None else error.status,
            message=error.message,
            facts=facts,
            members=error.members,
        )
