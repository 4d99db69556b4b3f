"""A domain of one's own for the API, and its record in Route 53 where the zone is named."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws


@dataclass(frozen=True, kw_only=True)
class DomainArgs:
    """The domain, its certificate in the API's region, and the zone of its record, empty for none."""

    domain_name: str
    certificate_arn: str
    hosted_zone_id: str
    api: aws.apigatewayv2.Api
    stage: aws.apigatewayv2.Stage


def own_domain(name: str, args: DomainArgs, parent: pulumi.Resource) -> pulumi.Output[str]:
    """Put the API behind the domain, and return where the domain must point."""
    child = pulumi.ResourceOptions(parent=parent)
    domain = aws.apigatewayv2.DomainName(
        name,
        domain_name=args.domain_name,
        domain_name_configuration={
            "certificate_arn": args.certificate_arn,
            "endpoint_type": "REGIONAL",
            "security_policy": "TLS_1_2",
        },
        opts=child,
    )
    aws.apigatewayv2.ApiMapping(name, api_id=args.api.id, domain_name=domain.id, stage=args.stage.id, opts=child)
    configuration = domain.domain_name_configuration
    if args.hosted_zone_id:
        aws.route53.Record(
            name,
            zone_id=args.hosted_zone_id,
            name=args.domain_name,
            type="A",
            aliases=[
                {
                    "name": configuration.target_domain_name,
                    "zone_id": configuration.hosted_zone_id.apply(str),
                    "evaluate_target_health": False,
                }
            ],
            opts=child,
        )
    return configuration.target_domain_name
