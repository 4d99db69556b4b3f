"""The bucket of verdict lines: private, encrypted, versioned, and reached by TLS only."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws


class ResultsBucket(pulumi.ComponentResource):
    """Offers `bucket`, its name, and the statements of what may be done with it."""

    def __init__(self, name: str, *, keep_days: int, key_arn: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:ResultsBucket", name, None, opts)
        # What was judged is worth more than what it costs to keep, and S3 deletes no bucket that holds anything.
        # So the bucket stays when the stack goes, and with it all that protects it.
        child = pulumi.ResourceOptions(parent=self, retain_on_delete=True)
        made = aws.s3.Bucket(f"{name}-results", opts=child)
        self.bucket: pulumi.Output[str] = made.bucket
        self._arn, self._key_arn = made.arn, key_arn
        aws.s3.BucketPublicAccessBlock(
            f"{name}-results",
            bucket=made.bucket,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{name}-results",
            bucket=made.bucket,
            rules=[_encryption(key_arn)],
            opts=child,
        )
        versioned = aws.s3.BucketVersioning(
            f"{name}-results", bucket=made.bucket, versioning_configuration={"status": "Enabled"}, opts=child
        )
        aws.s3.BucketLifecycleConfiguration(
            f"{name}-results",
            bucket=made.bucket,
            rules=_rules(keep_days),
            opts=pulumi.ResourceOptions(parent=self, depends_on=[versioned], retain_on_delete=True),
        )
        aws.s3.BucketPolicy(
            f"{name}-results", bucket=made.bucket, policy=pulumi.Output.json_dumps(_tls_only(made.arn)), opts=child
        )
        self.register_outputs({})

    def use(self) -> dict[str, object]:
        """Let a role read and write lines and records."""
        return {
            "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
            "Resource": [pulumi.Output.format("{0}/{1}/*", self._arn, folder) for folder in ("verdicts", "jobs")],
        }

    def use_key(self, region: pulumi.Input[str], *, in_parts: bool = False) -> Sequence[dict[str, object]]:
        """Let a role have S3 use the bucket's key, where it has one of its own; also for what is written `in_parts`.

        https://docs.aws.amazon.com/step-functions/latest/dg/iam-policies-eg-dist-map.html#multiupload-dmap-result-policy
        """
        by_s3 = {"kms:ViaService": pulumi.Output.format("s3.{0}.amazonaws.com", region)}
        right: dict[str, object] = {
            "Action": ["kms:Decrypt", *(["kms:Encrypt"] if in_parts else []), "kms:GenerateDataKey"],
            "Resource": self._key_arn,
            "Condition": {"StringEquals": by_s3},
        }
        return [right] if self._key_arn else []

    def list(self) -> dict[str, object]:
        """Let a role list it."""
        return {"Action": ["s3:ListBucket"], "Resource": self._arn}

    def write_map(self) -> dict[str, object]:
        """Let a state machine write what its maps did, in parts where that is long.

        https://docs.aws.amazon.com/step-functions/latest/dg/input-output-resultwriter.html
        """
        return {
            "Action": ["s3:PutObject", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"],
            "Resource": pulumi.Output.format("{0}/jobs/maps/*", self._arn),
        }

    def read_unjudged(self) -> dict[str, object]:
        """Let a state machine take the list of what a job left out."""
        return {"Action": ["s3:GetObject"], "Resource": pulumi.Output.format("{0}/jobs/*/unjudged.jsonl", self._arn)}


def _encryption(key_arn: str) -> aws.s3.BucketServerSideEncryptionConfigurationRuleArgs:
    by = aws.s3.BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefaultArgs(
        sse_algorithm="aws:kms" if key_arn else "AES256", kms_master_key_id=key_arn or None
    )
    # One call of KMS for many lines.
    return aws.s3.BucketServerSideEncryptionConfigurationRuleArgs(
        apply_server_side_encryption_by_default=by, bucket_key_enabled=bool(key_arn)
    )


def _rules(keep_days: int) -> list[aws.s3.BucketLifecycleConfigurationRuleArgs]:
    rule = aws.s3.BucketLifecycleConfigurationRuleArgs
    everything = aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix="")
    rules = [
        rule(
            id="forget-what-was-overwritten",
            status="Enabled",
            filter=everything,
            # What is left of an object whose versions are all gone would slow listings down.
            expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(expired_object_delete_marker=True),
            noncurrent_version_expiration=aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
                noncurrent_days=30
            ),
            abort_incomplete_multipart_upload=aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=7
            ),
        )
    ]
    if keep_days:
        rules.append(
            rule(
                id="forget",
                status="Enabled",
                filter=everything,
                expiration=aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=keep_days),
            )
        )
    return rules


def _tls_only(arn: pulumi.Output[str]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "OnlyByTls",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, pulumi.Output.format("{0}/*", arn)],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        ],
    }
