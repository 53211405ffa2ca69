"""ECR's errors, in AWS's words, and the one place where the registry's own become them."""

from collections.abc import Iterator
from contextlib import contextmanager

from kit.aws.errors import AwsError, InvalidParameterException
from registry.errors import (
    ManifestBlobUnknown,
    ManifestInvalid,
    NameUnknown,
    TagImmutable,
    TagInvalid,
)


class RepositoryNotFoundException(AwsError):
    """The specified repository could not be found."""


class RepositoryAlreadyExistsException(AwsError):
    """The specified repository already exists in the specified registry."""


class RepositoryNotEmptyException(AwsError):
    """The specified repository contains images. To delete it, you must force the deletion."""


class ImageNotFoundException(AwsError):
    """The image requested does not exist in the specified repository."""


class ImageAlreadyExistsException(AwsError):
    """The specified image has already been pushed, and there were no changes to the manifest or image tag."""


class ImageTagAlreadyExistsException(AwsError):
    """The specified image is tagged with a tag that already exists, and the repository's tags are immutable."""


class ImageDigestDoesNotMatchException(AwsError):
    """The specified image digest does not match the digest calculated for the image."""


class LayersNotFoundException(AwsError):
    """The specified layers could not be found, or they are not valid for this repository."""


class ReferencedImagesNotFoundException(AwsError):
    """The manifest list is referencing an image that does not exist."""


class InvalidTagParameterException(AwsError):
    """An invalid parameter has been specified. Tag keys have 128 characters at most, tag values 256."""


class TooManyTagsException(AwsError):
    """The list of tags on the repository is over the limit: a repository has 50 tags at most."""


class LimitExceededException(AwsError):
    """The manifests asked for are too large for one answer; ask for fewer."""


class KmsException(AwsError):
    """Berth encrypts no layers with keys of KMS; leave the encryption configuration out, or ask for AES256."""


class LifecyclePolicyNotFoundException(AwsError):
    """The lifecycle policy could not be found, and no policy is set to the repository."""


class LifecyclePolicyPreviewNotFoundException(AwsError):
    """There is no dry run for this repository."""


class ImageStorageClassUpdateNotSupportedException(AwsError):
    """The requested image storage class update is not supported."""


class ExclusionAlreadyExistsException(AwsError):
    """The specified pull time update exclusion already exists for the registry."""


class ExclusionNotFoundException(AwsError):
    """The specified pull time update exclusion was not found."""


@contextmanager
def in_aws_words(repository: str, account: str) -> Iterator[None]:
    """Turn what the registry raises about ``repository`` into ECR's errors."""
    try:
        yield
    except NameUnknown as error:
        raise RepositoryNotFoundException(error.message) from None
    except ManifestInvalid as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'ImageManifest' failed to satisfy constraint: '{error.message}'"
        ) from None
    except TagInvalid as error:
        raise InvalidParameterException(
            f"Invalid parameter at 'imageTag' failed to satisfy constraint: '{error.message}'"
        ) from None
    except TagImmutable as error:
        raise ImageTagAlreadyExistsException(error.message) from None
    except ManifestBlobUnknown as error:
        missing = ", ".join(detail["digest"] for detail in error.details)
        where = f"repository with name '{repository}' in the registry with id '{account}'"
        if error.of_images:
            raise ReferencedImagesNotFoundException(
                f"Images with digests '[{missing}]' required for pushing image into {where} do not exist"
            ) from None
        raise LayersNotFoundException(
            f"Layers with digests '[{missing}]' required for pushing image into {where} do not exist"
        ) from None
