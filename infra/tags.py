"""Tags everything that AWS lets a stack tag, so that its costs and its leftovers can be found."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi


def tag_everything(tags: Mapping[str, str]) -> None:
    """Put `tags` on every AWS resource that is made from here on; a resource's own tags win.

    A stack transformation, and not a provider of our own with default tags: an explicit provider does not read the
    user's other `aws:` settings, such as `aws:profile`.
    """

    def add_tags(args: pulumi.ResourceTransformationArgs) -> pulumi.ResourceTransformationResult | None:
        # A taggable resource of the AWS provider always has the key, even when nobody gave it a value.
        if not args.type_.startswith("aws:") or "tags" not in args.props:
            return None
        own = pulumi.Output.from_input(args.props["tags"] or {})
        props = {**args.props, "tags": own.apply(lambda own_tags: {**tags, **own_tags})}
        return pulumi.ResourceTransformationResult(props=props, opts=args.opts)

    pulumi.runtime.register_stack_transformation(add_tags)
