"""The stack, from the network outwards to the dashboard, and what it exports."""

from __future__ import annotations

from dataclasses import replace

import pulumi
import pulumi_aws as aws

from infra.api import Api, ApiArgs
from infra.cache import LabelStore, LabelStoreArgs
from infra.canary import Canary, Share
from infra.config import CONTEXT, read_settings
from infra.environment import environment
from infra.function import Function, FunctionArgs, allow_tracing
from infra.guardrails import Guardrails, keep_to
from infra.image import Image, ImageArgs
from infra.jobs import Jobs, JobsArgs, timeout_of
from infra.network import Network, NetworkArgs, allow_joining
from infra.observability import Observability, ObservabilityArgs
from infra.own_network import OwnNetwork, OwnNetworkArgs
from infra.own_store import OwnStore, OwnStoreArgs
from infra.read_buckets import allow_decrypting, allow_reading, way_to_s3
from infra.release import Release, ReleaseArgs
from infra.role import FunctionRole
from infra.sign_in import cloudwatch_client, lambda_client
from infra.stream import Stream, StreamArgs, again_after
from infra.tags import tag_everything
from infra.tokens import Tokens, TokensArgs
from infra.versions import Versions

NAME = "clip"

settings = read_settings(pulumi.Config())
tag_everything({"Project": pulumi.get_project(), "Stack": pulumi.get_stack(), "ManagedBy": "pulumi"})
keep_to(
    Guardrails(
        permissions_boundary=settings.permissions_boundary,
        iam_path=settings.iam_path,
        kms_key_arn=settings.kms_key_arn,
    )
)
region = aws.get_region_output().region

role = FunctionRole(NAME)
rights: list[pulumi.Resource] = []
network: Network | OwnNetwork | None = None
own_network: OwnNetwork | None = None
if settings.subnet_ids or settings.cache == "serverless":
    joining = [allow_joining(role)]
    rights += joining
    if settings.subnet_ids:
        network = own_network = OwnNetwork(
            NAME,
            OwnNetworkArgs(
                subnet_ids=settings.subnet_ids,
                security_group_ids=settings.security_group_ids,
                has_store=settings.cache == "serverless",
                joining=joining,
            ),
        )
    else:
        network = Network(NAME, NetworkArgs(zone_ids=settings.zone_ids, joining=joining, cidr=settings.network_cidr))
if settings.tracing:
    rights.append(allow_tracing(role))
if settings.read_buckets:
    rights.append(allow_reading(role, settings.read_buckets))
    rights += allow_decrypting(role, settings.bucket_key_arns, region, parent=role)
    if isinstance(network, Network):
        way_to_s3(NAME, network, region, settings.read_buckets)

store: LabelStore | OwnStore | None = None
if settings.cache == "serverless" and network:
    store = LabelStore(
        NAME,
        LabelStoreArgs(
            name=settings.name,
            network=network,
            max_gb=settings.cache_max_gb,
            max_ecpu_per_second=settings.cache_max_ecpu_per_second,
        ),
    )
elif settings.cache == "url":
    store = OwnStore(
        NAME,
        OwnStoreArgs(
            url=settings.cache_url,
            cluster=settings.cache_cluster,
            user=settings.cache_user,
            password=settings.cache_password.output if settings.cache_password.plain else None,
            password_arn=settings.cache_password_arn,
            region=region,
            endpoint_in=own_network if settings.secrets_endpoint else None,
            kms_key_arn=settings.kms_key_arn,
        ),
    )
if store:
    rights += store.allow_connecting(role)

what_to_build = ImageArgs(
    context=CONTEXT,
    model=settings.model,
    pretrained=settings.pretrained,
    precision=settings.precision,
    base_image=settings.base_image,
    torch_index=settings.torch_index,
)
image = None if settings.image_uri else Image(NAME, what_to_build)
function = Function(
    NAME,
    FunctionArgs(
        name=settings.name,
        role=role,
        image_uri=image.uri if image else settings.image_uri,
        environment=environment(settings, store),
        network=network,
        rights=rights,
        memory=settings.memory,
        timeout=settings.timeout,
        reserved_concurrency=settings.reserved_concurrency,
        snap_start=settings.snap_start,
        log_retention_days=settings.log_retention_days,
        tracing=settings.tracing,
    ),
)
release = Release(
    NAME,
    ReleaseArgs(
        function=function,
        versions=Versions(lambda_client, drain_seconds=settings.timeout),
        label_sets=settings.label_sets if store else (),
        snap_start=settings.snap_start,
        provisioned_concurrency=settings.provisioned_concurrency,
        rewarm_schedule=settings.rewarm_schedule,
        canary=Canary(
            Share(percent=settings.canary_percent, minutes=settings.canary_minutes),
            connect_lambda=lambda_client,
            connect_cloudwatch=cloudwatch_client,
        )
        if settings.canary_minutes
        else None,
    ),
)
tokens = None
if settings.auth == "token":
    tokens = Tokens(
        NAME,
        TokensArgs(
            name=settings.name,
            role=FunctionRole(f"{NAME}-authorizer"),
            tokens=settings.auth_tokens.output,
            log_retention_days=settings.log_retention_days,
        ),
    )
api = Api(
    NAME,
    ApiArgs(
        name=settings.name,
        alias=release.alias,
        region=region,
        auth=settings.auth,
        jwt_issuer=settings.jwt_issuer,
        jwt_audience=settings.jwt_audience,
        cors_origins=settings.cors_origins,
        throttle_rate=settings.throttle_rate,
        throttle_burst=settings.throttle_burst,
        domain_name=settings.domain_name,
        certificate_arn=settings.certificate_arn,
        log_retention_days=settings.log_retention_days,
        tokens=tokens,
        jwt_scopes=settings.jwt_scopes,
        hosted_zone_id=settings.hosted_zone_id,
        default_endpoint=settings.default_endpoint,
    ),
)
jobs = stream = None
if settings.jobs:
    of_worker = image
    if settings.videos and not settings.image_uri:
        # FFmpeg reads strangers' bytes: the service's own image never has it.
        of_worker = Image(f"{NAME}-jobs", replace(what_to_build, target="worker-videos"))
    jobs = Jobs(
        f"{NAME}-jobs",
        JobsArgs(
            name=f"{settings.name}-jobs",
            image_uri=of_worker.uri if of_worker else settings.videos_image_uri or settings.image_uri,
            environment=environment(replace(settings, memory=settings.job_memory), None),
            buckets=settings.job_buckets,
            stream_buckets=settings.stream_buckets,
            bucket_key_arns=settings.bucket_key_arns,
            kms_key_arn=settings.kms_key_arn,
            region=region,
            policy=settings.default_policy,
            tag=settings.tag_objects,
            write_lines=settings.stream_lines,
            videos=settings.videos,
            memory=settings.job_memory,
            batch=settings.job_batch,
            concurrency=settings.job_concurrency,
            tolerated=settings.job_tolerated_failures,
            keep_days=settings.results_days,
            log_retention_days=settings.log_retention_days,
        ),
    )
    if settings.stream_buckets:
        stream = Stream(
            f"{NAME}-jobs",
            StreamArgs(
                name=f"{settings.name}-jobs",
                jobs=jobs,
                buckets=settings.stream_buckets,
                manage_notifications=settings.manage_notifications,
                batch=settings.stream_batch,
                concurrency=settings.stream_concurrency,
                timeout=timeout_of(videos=settings.videos),
            ),
        )
observability = Observability(
    NAME,
    ObservabilityArgs(
        name=settings.name,
        api_id=api.id,
        function_name=function.name,
        region=region,
        memory=settings.memory,
        has_store=store is not None,
        p99_ms=settings.alarm_p99_ms,
        email=settings.alarm_email,
        topic_arn=settings.alarm_topic_arn,
        block_share=settings.alarm_block_share,
        worker_name=jobs.function.name if jobs else None,
        queue_names=(stream.queue_name, *stream.dead_letter_names) if stream else (),
        worker_seconds=timeout_of(videos=settings.videos),
        late_seconds=2 * again_after(timeout_of(videos=settings.videos)),
    ),
)

pulumi.export("url", api.url)
if api.page_url:
    pulumi.export("pageUrl", api.page_url)
pulumi.export("curl", api.curl)
pulumi.export("domainTarget", api.domain_target)
pulumi.export("functionName", function.name)
pulumi.export("functionVersion", function.version)
pulumi.export("imageDigest", image.digest if image else settings.image_uri.partition("@")[2])
pulumi.export("cacheEndpoint", store.endpoint if store else None)
pulumi.export("warmedUp", release.warmed)
if jobs:
    pulumi.export("jobsStateMachine", jobs.state_machine_arn)
    pulumi.export("resultsBucket", jobs.results_bucket)
    pulumi.export("verdictBus", jobs.bus.name)
    if settings.videos:
        videos_digest = of_worker.digest if of_worker else settings.videos_image_uri.partition("@")[2]
        pulumi.export("videosImageDigest", videos_digest)
if stream:
    pulumi.export("uploadsQueue", stream.queue_url)
    pulumi.export("uploadsDeadLetters", list(stream.dead_letter_urls))
pulumi.export("dashboardUrl", observability.dashboard_url)
