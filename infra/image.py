"""The image: a private ECR repository, and an arm64 build of lambda_src/, which the function is given by its digest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pulumi
import pulumi_aws as aws
import pulumi_docker_build as docker_build

from infra.config import ROOT

# Lambda keeps no copy for ever: it looks for the image of a version now and then, and a version whose image is gone
# fails from then on. So the image of the live version, and that of the one before, must outlast all pushes that follow,
# those of failed deployments too. https://docs.aws.amazon.com/lambda/latest/dg/images-create.html
KEPT_IMAGES = 100

# One tag that moves. A tag of the content could not be pushed twice where tags are immutable: the same content built
# without the builder's cache has another digest, so that a change could not be taken back from another machine.
# https://github.com/moby/buildkit/issues/3776
TAG = "latest"


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """What the image is made from; `torch_index` is a package index for the export, or none for the usual one."""

    context: Path
    model: str
    pretrained: str
    precision: str
    base_image: str
    torch_index: str
    target: str = ""  # a stage of the Dockerfile instead of the last


class Image(pulumi.ComponentResource):
    """Offers `uri`, the image by its digest, and `digest`."""

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("clip:infra:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        repository = aws.ecr.Repository(
            name,
            image_tag_mutability="MUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            # `destroy` takes the images along: they can be built again.
            force_delete=True,
            opts=child,
        )
        aws.ecr.LifecyclePolicy(name, repository=repository.name, policy=json.dumps(_keep_last_images()), opts=child)
        token = aws.ecr.get_authorization_token_output(
            registry_id=repository.registry_id, opts=pulumi.InvokeOutputOptions(parent=self)
        )

        arguments = {
            "BASE_IMAGE": args.base_image,
            "MODEL": args.model,
            "PRETRAINED": args.pretrained,
            "PRECISION": args.precision,
            "TORCH_INDEX": args.torch_index,
        }
        # Relative to the project, where Pulumi runs: the place of a checkout must not look like a change.
        location = args.context.relative_to(ROOT).as_posix()
        built = docker_build.Image(
            name,
            context={"location": location},
            dockerfile={"location": f"{location}/Dockerfile"},
            build_args=arguments,
            target=args.target or None,
            platforms=[docker_build.Platform.LINUX_ARM64],
            tags=[pulumi.Output.format("{0}:{1}", repository.repository_url, TAG)],
            registries=[
                {"address": repository.repository_url, "username": token.user_name, "password": token.password}
            ],
            push=True,
            # A preview must neither take minutes nor push. `exec_` stays unset: that mode adds a provenance record,
            # which turns the tag into an index of images, and Lambda takes no index.
            build_on_preview=False,
            # An older version of the function may still run on the image that this one replaces.
            opts=pulumi.ResourceOptions(parent=self, retain_on_delete=True),
        )
        self.digest: pulumi.Output[str] = built.digest
        # Not `built.ref`: Lambda refuses a name that has both a tag and a digest.
        self.uri = pulumi.Output.format("{0}@{1}", repository.repository_url, built.digest)
        self.register_outputs({})


def _keep_last_images() -> dict[str, object]:
    rule = {
        "rulePriority": 1,
        "description": f"Keep the last {KEPT_IMAGES} images",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": KEPT_IMAGES},
        "action": {"type": "expire"},
    }
    return {"rules": [rule]}
