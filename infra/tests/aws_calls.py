"""Which call of AWS' a resource is made with: one row a resource type."""

from __future__ import annotations

from infra.tests.aws_call import Call
from infra.tests.aws_calls_of_jobs import CALLS_OF_JOBS
from infra.tests.program import Inputs


def _rule(inputs: Inputs) -> Inputs:
    if "prefixListId" in inputs:
        prefix = {"prefixListId": inputs["prefixListId"], "description": inputs["description"]}
        ports = {key: inputs[key] for key in ("ipProtocol", "fromPort", "toPort")}
        return {"groupId": inputs["securityGroupId"], "ipPermissions": [{**ports, "prefixListIds": [prefix]}]}
    pair = {"groupId": inputs["referencedSecurityGroupId"], "description": inputs["description"]}
    ports = {key: inputs[key] for key in ("ipProtocol", "fromPort", "toPort")}
    return {"groupId": inputs["securityGroupId"], "ipPermissions": [{**ports, "userIdGroupPairs": [pair]}]}


def _usage(inputs: Inputs) -> Inputs:
    limits = inputs["cacheUsageLimits"]
    (processing,) = limits["ecpuPerSeconds"]
    return {**inputs, "cacheUsageLimits": {"dataStorage": limits["dataStorage"], "ecpuPerSecond": processing}}


def _code(inputs: Inputs) -> Inputs:
    rest = {key: value for key, value in inputs.items() if key not in ("imageUri", "code", "imageConfig")}
    if "imageConfig" in inputs:
        rest["imageConfig"] = {"command": inputs["imageConfig"]["commands"]}
    # The provider makes a zip file of an archive.
    return {**rest, "code": {"imageUri": inputs["imageUri"]} if "imageUri" in inputs else {"zipFile": "UEsDBA=="}}


def _authorizer(inputs: Inputs) -> Inputs:
    if "jwtConfiguration" not in inputs:
        return inputs
    configuration = inputs["jwtConfiguration"]
    return {**inputs, "jwtConfiguration": {"issuer": configuration["issuer"], "audience": configuration["audiences"]}}


def _domain(inputs: Inputs) -> Inputs:
    rest = {key: value for key, value in inputs.items() if key != "domainNameConfiguration"}
    return {**rest, "domainNameConfigurations": [inputs["domainNameConfiguration"]]}


def _pairs(dimensions: Inputs) -> list[Inputs]:
    return [{"name": name, "value": value} for name, value in dimensions.items()]


def _alarm(inputs: Inputs) -> Inputs:
    if "metricQueries" not in inputs:
        return {**inputs, "dimensions": _pairs(inputs["dimensions"])}
    return {
        **{key: value for key, value in inputs.items() if key != "metricQueries"},
        "metrics": [_query(query) for query in inputs["metricQueries"]],
    }


def _query(query: Inputs) -> Inputs:
    if "metric" not in query:
        return query
    metric = query["metric"]
    rest = {key: value for key, value in query.items() if key != "metric"}
    named = {
        "namespace": metric["namespace"],
        "metricName": metric["metricName"],
        "dimensions": _pairs(metric["dimensions"]),
    }
    return {**rest, "metricStat": {"metric": named, "period": metric["period"], "stat": metric["stat"]}}


def _encryption(inputs: Inputs) -> Inputs:
    rest = {key: value for key, value in inputs.items() if key != "encryptionConfigurations"}
    found = inputs.get("encryptionConfigurations")
    return {**rest, "encryptionConfiguration": found[0]} if found else rest


def _attributes(inputs: Inputs) -> Inputs:
    rest = {key: value for key, value in inputs.items() if key != "kmsMasterKeyId"}
    key = inputs.get("kmsMasterKeyId")
    return {**rest, "attributes": {"KmsMasterKeyId": key}} if key else rest


def _record(inputs: Inputs) -> Inputs:
    (alias,) = inputs["aliases"]
    target = {
        "hostedZoneId": alias["zoneId"],
        "dnsName": alias["name"],
        "evaluateTargetHealth": alias["evaluateTargetHealth"],
    }
    record = {"name": inputs["name"], "type": inputs["type"], "aliasTarget": target}
    change = {"action": "CREATE", "resourceRecordSet": record}
    return {"hostedZoneId": inputs["zoneId"], "changeBatch": {"changes": [change]}}


_TAGS = frozenset({"tags"})  # given in a form of EC2's own, TagSpecifications

CALLS: dict[str, Call] = {
    "aws:apigatewayv2/api:Api": Call(service="apigatewayv2", operation="CreateApi"),
    "aws:apigatewayv2/apiMapping:ApiMapping": Call(service="apigatewayv2", operation="CreateApiMapping"),
    "aws:apigatewayv2/authorizer:Authorizer": Call(
        service="apigatewayv2",
        operation="CreateAuthorizer",
        renamed={"identitySources": "identitySource"},
        named="name",
        shape=_authorizer,
    ),
    "aws:apigatewayv2/domainName:DomainName": Call(service="apigatewayv2", operation="CreateDomainName", shape=_domain),
    "aws:apigatewayv2/integration:Integration": Call(service="apigatewayv2", operation="CreateIntegration"),
    "aws:apigatewayv2/route:Route": Call(service="apigatewayv2", operation="CreateRoute"),
    "aws:apigatewayv2/stage:Stage": Call(
        service="apigatewayv2", operation="CreateStage", renamed={"name": "stageName"}
    ),
    "aws:cloudwatch/dashboard:Dashboard": Call(service="cloudwatch", operation="PutDashboard"),
    "aws:cloudwatch/logGroup:LogGroup": Call(
        # PutRetentionPolicy takes the days; rules.py has its list of them.
        service="logs",
        operation="CreateLogGroup",
        renamed={"name": "logGroupName"},
        without=frozenset({"retentionInDays"}),
    ),
    "aws:cloudwatch/metricAlarm:MetricAlarm": Call(
        service="cloudwatch", operation="PutMetricAlarm", renamed={"name": "alarmName"}, named="alarmName", shape=_alarm
    ),
    "aws:ec2/securityGroup:SecurityGroup": Call(
        service="ec2", operation="CreateSecurityGroup", named="groupName", without=_TAGS
    ),
    "aws:ec2/subnet:Subnet": Call(
        # ModifySubnetAttribute takes what is left out.
        service="ec2",
        operation="CreateSubnet",
        without=_TAGS | {"mapPublicIpOnLaunch"},
    ),
    "aws:ec2/vpc:Vpc": Call(
        # ModifyVpcAttribute takes what is left out.
        service="ec2",
        operation="CreateVpc",
        without=_TAGS | {"enableDnsSupport", "enableDnsHostnames"},
    ),
    "aws:ecr/lifecyclePolicy:LifecyclePolicy": Call(
        service="ecr",
        operation="PutLifecyclePolicy",
        renamed={"repository": "repositoryName", "policy": "lifecyclePolicyText"},
    ),
    "aws:ecr/repository:Repository": Call(
        service="ecr",
        operation="CreateRepository",
        named="repositoryName",
        without=frozenset({"forceDelete"}),
        shape=_encryption,
    ),
    "aws:elasticache/serverlessCache:ServerlessCache": Call(
        service="elasticache",
        operation="CreateServerlessCache",
        renamed={"name": "serverlessCacheName"},
        shape=_usage,
    ),
    "aws:elasticache/user:User": Call(service="elasticache", operation="CreateUser"),
    "aws:elasticache/userGroup:UserGroup": Call(service="elasticache", operation="CreateUserGroup"),
    "aws:iam/role:Role": Call(
        service="iam",
        operation="CreateRole",
        renamed={"assumeRolePolicy": "assumeRolePolicyDocument"},
        named="roleName",
    ),
    "aws:iam/rolePolicy:RolePolicy": Call(
        service="iam",
        operation="PutRolePolicy",
        renamed={"role": "roleName", "policy": "policyDocument"},
        named="policyName",
    ),
    "aws:lambda/alias:Alias": Call(service="lambda", operation="CreateAlias"),
    "aws:lambda/function:Function": Call(
        service="lambda",
        operation="CreateFunction",
        renamed={"name": "functionName"},
        # The provider's own, and what PutFunctionConcurrency takes.
        without=frozenset(
            {"replaceSecurityGroupsOnDestroy", "replacementSecurityGroupIds", "reservedConcurrentExecutions"}
        ),
        shape=_code,
    ),
    "aws:lambda/invocation:Invocation": Call(
        service="lambda", operation="Invoke", renamed={"input": "payload"}, without=frozenset({"triggers"})
    ),
    "aws:lambda/permission:Permission": Call(
        service="lambda", operation="AddPermission", renamed={"function": "functionName"}, named="statementId"
    ),
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": Call(
        service="lambda", operation="PutProvisionedConcurrencyConfig"
    ),
    "aws:scheduler/schedule:Schedule": Call(service="scheduler", operation="CreateSchedule", named="name"),
    "aws:sns/topic:Topic": Call(service="sns", operation="CreateTopic", named="name", shape=_attributes),
    "aws:sns/topicSubscription:TopicSubscription": Call(
        service="sns", operation="Subscribe", renamed={"topic": "topicArn"}
    ),
    "aws:ec2/vpcEndpoint:VpcEndpoint": Call(
        service="ec2",
        operation="CreateVpcEndpoint",
        renamed={"policy": "policyDocument"},
        without=_TAGS,
    ),
    "aws:route53/record:Record": Call(service="route53", operation="ChangeResourceRecordSets", shape=_record),
    "aws:secretsmanager/secret:Secret": Call(
        service="secretsmanager",
        operation="CreateSecret",
        named="name",
        # DeleteSecret's own.
        without=frozenset({"recoveryWindowInDays"}),
    ),
    "aws:secretsmanager/secretVersion:SecretVersion": Call(service="secretsmanager", operation="PutSecretValue"),
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": Call(
        service="ec2", operation="AuthorizeSecurityGroupEgress", shape=_rule
    ),
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": Call(
        service="ec2", operation="AuthorizeSecurityGroupIngress", shape=_rule
    ),
}

CALLS |= CALLS_OF_JOBS

# Made by no call of AWS' own: one is found with its network, and the other is built and pushed.
MADE_OTHERWISE = {"aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "docker-build:index:Image"}
