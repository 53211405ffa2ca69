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


class RepositoryPolicyNotFoundException(AwsError):
    """The specified repository and registry combination does not have an associated repository policy."""


class RegistryPolicyNotFoundException(AwsError):
    """The registry doesn't have an associated registry policy."""


class UploadNotFoundException(AwsError):
    """The upload could not be found, or the specified upload ID is not valid for this repository."""


class EmptyUploadException(AwsError):
    """The specified layer upload does not contain any layer parts."""


class InvalidLayerException(AwsError):
    """The layer digest calculation performed by Amazon ECR upon receipt of the image layer does not match the digest
    specified."""


class InvalidLayerPartException(AwsError):
    """The layer part size is not valid, or the first byte specified is not consecutive to the last byte of a previous
    layer part upload."""


class LayerAlreadyExistsException(AwsError):
    """The image layer already exists in the associated repository."""


class LayerPartTooSmallException(AwsError):
    """Layer parts must be at least 5 MiB in size."""


class ServerException(AwsError):
    """These errors are usually caused by a server-side issue."""

    status = 500


class ScanNotFoundException(AwsError):
    """The specified image scan could not be found. Ensure that image scanning is enabled on the repository."""


class UnsupportedImageTypeException(AwsError):
    """The image is of a type that cannot be scanned."""


class ImageArchivedException(AwsError):
    """The specified image is archived and cannot be scanned."""


class ReplicationBackfillNotFoundException(AwsError):
    """The specified replication backfill could not be found."""


class ReplicationBackfillInProgressException(AwsError):
    """A replication backfill is already in progress for the specified destination Region."""


class ReplicationBackfillInvalidStatusException(AwsError):
    """The operation is not valid for the replication backfill's current status."""


class SigningConfigurationNotFoundException(AwsError):
    """The specified signing configuration was not found. Use PutSigningConfiguration to create one."""


class ExclusionAlreadyExistsException(AwsError):
    """The specified pull time update exclusion already exists for the registry."""


class ExclusionNotFoundException(AwsError):
    """The specified pull time update exclusion was not found."""


class PullThroughCacheRuleAlreadyExistsException(AwsError):
    """A pull through cache rule with this repository prefix already exists."""


class PullThroughCacheRuleNotFoundException(AwsError):
    """The pull through cache rule was not found. Specify a valid pull through cache rule and try again."""


class UnsupportedUpstreamRegistryException(AwsError):
    """The specified upstream registry isn't supported."""


class UnableToGetUpstreamImageException(AwsError):
    """The image or images were unable to be pulled using the pull through cache rule."""


class UnableToGetUpstreamLayerException(AwsError):
    """There was an issue getting the upstream layer matching the pull through cache rule."""


class SecretNotFoundException(AwsError):
    """The ARN of the secret specified in the pull through cache rule was not found. Update the pull through cache
    rule with a valid secret ARN and try again."""


class UnableToDecryptSecretValueException(AwsError):
    """The secret is accessible but is unable to be decrypted: it was sealed with another master key."""


class TemplateAlreadyExistsException(AwsError):
    """The repository creation template already exists. Specify a unique prefix and try again."""


class TemplateNotFoundException(AwsError):
    """The specified repository creation template can't be found. Verify the registry ID and prefix and try again."""


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
