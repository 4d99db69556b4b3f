"""What must be in the region that is deployed to: elsewhere AWS refuses it only after minutes, or when it is used."""

from __future__ import annotations

from collections.abc import Iterator

from infra.settings import StackSettings, key_of

# Where the region is among the parts between these characters.
_ARNS = ("certificate_arn", "kms_key_arn", "alarm_topic_arn")
_IMAGES = ("image_uri", "videos_image_uri")
# Of the words of a region's name, as its zones' ids have them: ap-southeast-2 is apse2.
_SHORT = {
    "north": "n",
    "south": "s",
    "east": "e",
    "west": "w",
    "central": "c",
    "northeast": "ne",
    "northwest": "nw",
    "southeast": "se",
    "southwest": "sw",
}


def complaints_of_region(settings: StackSettings, region: str) -> Iterator[str]:
    """Say what is elsewhere than in `region`, which is empty where only the provider knows it."""
    if not region:
        return
    places = {field: getattr(settings, field).split(":")[3:4] for field in _ARNS}
    places |= {field: getattr(settings, field).split(".")[3:4] for field in _IMAGES}
    for field, place in places.items():
        if place and place != [region]:
            yield f"{key_of(field)} is {getattr(settings, field)!r}: it must be in {region}, the stack's region."
    if settings.secrets_endpoint and settings.cache_password_arn.split(":")[3:4] not in ([], [region]):
        yield (
            f"cachePasswordArn is {settings.cache_password_arn!r}: it must be in {region}, the stack's region, "
            "with secretsEndpoint."
        )
    here = zones_of(region)
    for zone_id in settings.zone_ids if here else ():
        if not zone_id.startswith(f"{here}-az"):
            yield f"zoneIds has {zone_id!r}: it must be one of {region}, the stack's region, as {here}-az1 is."


def zones_of(region: str) -> str:
    """Return what the ids of a region's zones begin with: of `eu-central-1`, `euc1`; empty where that is not known.

    https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-availability-zones.html
    """
    words = region.split("-")
    if len(words) != 3 or words[1] not in _SHORT:
        return ""
    return f"{words[0]}{_SHORT[words[1]]}{words[2]}"
