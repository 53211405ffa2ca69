"""Parameters beneath a path and by filters, in pages."""

from typing import Any

import pytest

from tests.support.refusals import refused
from tests.wire.ssm.parameters import put

NAMES = ("/a", "/a/b", "/a/b/c", "/a/bb", "/d/e", "root")


@pytest.fixture
def tree(client: Any) -> Any:
    for name in NAMES:
        put(client, name, f"value of {name}", "SecureString" if name == "/d/e" else "String")
    return client


def names(answer: dict[str, Any]) -> list[str]:
    return [parameter["Name"] for parameter in answer["Parameters"]]


@pytest.mark.parametrize(
    ("path", "recursive", "found"),
    [
        ("/a", False, ["/a/b", "/a/bb"]),
        ("/a/", False, ["/a/b", "/a/bb"]),
        ("/a", True, ["/a/b", "/a/b/c", "/a/bb"]),
        ("/a/b", True, ["/a/b/c"]),
        ("/", False, ["/a", "root"]),
        ("/", True, list(NAMES)),
        ("/nowhere", True, []),
    ],
)
def test_paths_hold_what_is_beneath_them(tree: Any, path: str, recursive: bool, found: list[str]) -> None:
    assert names(tree.get_parameters_by_path(Path=path, Recursive=recursive)) == found


def test_pages_beneath_a_path_hold_each_parameter_once(tree: Any) -> None:
    pages = tree.get_paginator("get_parameters_by_path").paginate(
        Path="/", Recursive=True, WithDecryption=True, PaginationConfig={"PageSize": 2}
    )
    found = [parameter for page in pages for parameter in page["Parameters"]]
    assert [(one["Name"], one["Value"]) for one in found] == [(name, f"value of {name}") for name in NAMES]
    with refused(tree, "InvalidNextToken"):
        tree.get_parameters_by_path(Path="/", NextToken="nonsense")


def test_a_label_chooses_versions_beneath_a_path(tree: Any) -> None:
    tree.label_parameter_version(Name="/a/b", Labels=["live"])
    put(tree, "/a/b", "newer", Overwrite=True)
    asked = [{"Key": "Label", "Values": ["live"]}]
    found = tree.get_parameters_by_path(Path="/a", Recursive=True, ParameterFilters=asked)["Parameters"]
    assert [(one["Name"], one["Value"], one["Version"]) for one in found] == [("/a/b", "value of /a/b", 1)]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ([{"Key": "Name", "Values": ["/a", "root"]}], ["/a", "root"]),
        ([{"Key": "Name", "Option": "BeginsWith", "Values": ["/a/b"]}], ["/a/b", "/a/b/c", "/a/bb"]),
        ([{"Key": "Name", "Option": "Contains", "Values": ["b"]}], ["/a/b", "/a/b/c", "/a/bb"]),
        ([{"Key": "Type", "Values": ["SecureString"]}], ["/d/e"]),
        ([{"Key": "KeyId", "Values": ["alias/aws/ssm"]}], ["/d/e"]),
        ([{"Key": "Path", "Values": ["/a"]}], ["/a/b", "/a/bb"]),
        ([{"Key": "Path", "Option": "Recursive", "Values": ["/a", "/d"]}], ["/a/b", "/a/b/c", "/a/bb", "/d/e"]),
        ([{"Key": "Tier", "Values": ["Advanced"]}], []),
        ([{"Key": "tag:team", "Values": ["db"]}], ["root"]),
        ([{"Key": "tag:team"}, {"Key": "Type", "Values": ["String"]}], ["root"]),
    ],
)
def test_filters_choose_as_aws_says(tree: Any, filters: list[dict[str, Any]], found: list[str]) -> None:
    tree.add_tags_to_resource(ResourceType="Parameter", ResourceId="root", Tags=[{"Key": "team", "Value": "db"}])
    assert names(tree.describe_parameters(ParameterFilters=filters)) == found


def test_the_older_filters_work_too(tree: Any) -> None:
    assert names(tree.describe_parameters(Filters=[{"Key": "Name", "Values": ["/a/b"]}])) == ["/a/b", "/a/b/c", "/a/bb"]


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ([{"Key": "Label", "Values": ["x"]}], "InvalidFilterKey"),
        ([{"Key": "Type", "Values": ["Text"]}], "InvalidFilterValue"),
        ([{"Key": "Name"}], "InvalidFilterValue"),
        ([{"Key": "Type", "Option": "Contains", "Values": ["S"]}], "InvalidFilterOption"),
        ([{"Key": "Path", "Values": ["a"]}], "ValidationException"),
        ([{"Key": "Name", "Values": ["a"]}, {"Key": "Name", "Values": ["b"]}], "ValidationException"),
    ],
)
def test_filters_that_are_none_are_refused(embedded: Any, filters: list[dict[str, Any]], code: str) -> None:
    with refused(embedded, code):
        embedded.describe_parameters(ParameterFilters=filters)


def test_described_pages_hold_each_parameter_once(tree: Any) -> None:
    pages = tree.get_paginator("describe_parameters").paginate(PaginationConfig={"PageSize": 4})
    assert [name for page in pages for name in names(page)] == list(NAMES)
