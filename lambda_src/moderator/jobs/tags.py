"""The tag `moderation` of an upload: its verdict, on the bytes that were judged and on no others."""

from __future__ import annotations

from typing import Any

from moderator.jobs.line import Line, error_kind
from moderator.jobs.object_errors import ObjectGone, when_gone
from moderator.jobs.objects import Objects
from moderator.jobs.sources import Source, of_line

_KEY = "moderation"
# Where nothing is there to be tagged, or nothing that the worker may touch.
_NOTHING = ("object-gone", "object-refused")
# Of objects in a bucket whose versions are suspended: it is overwritten.
_REPLACEABLE = (None, "null")


class Replaced(Exception):
    """The object has other bytes than those that were judged: the message must come again, so that these are judged."""


class Tags:
    """Tags objects by S3's client."""

    def __init__(self, s3: Any, objects: Objects) -> None:
        self._s3, self._objects = s3, objects

    def say(self, line: Line) -> None:
        """Tag the object with its verdict, also where that is only what the policy's `on_error` says.

        A version's bytes stay as they are. Without versions S3 tags whatever is there by then, and knows no condition:
        so the ETag is looked at before and after, and where the tag has landed on other bytes, it is taken away again.
        https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectTagging.html

        Raises:
            Replaced: as it says.
            RequestError: S3 does not say which bytes are there.
            ClientError: S3 refuses the tag.
        """
        source, tag = of_line(line), {"Key": _KEY, "Value": line["verdict"]}
        if error_kind(line) in _NOTHING:
            return
        try:
            if source.version_id not in _REPLACEABLE:
                self._set(source, tag)
                return
            judged = source.e_tag or self._objects.e_tag(source)  # where not a byte of it could be read
            self._check(source, judged)
            self._set(source, tag)
            try:
                self._check(source, judged)
            except ObjectGone:
                raise
            except Exception:  # other bytes, or nobody knows which: the message comes again
                self._take_away(source, tag)
                raise
        except ObjectGone:
            return

    def _check(self, source: Source, judged: str) -> None:
        if self._objects.e_tag(source) != judged:
            raise Replaced(f"s3://{source.bucket}/{source.key} was replaced while it was judged.")

    def _set(self, source: Source, tag: dict[str, str]) -> None:
        """Set a tag beside those that others have set."""
        others = [other for other in self._get(source) if other["Key"] != _KEY]
        self._put(source, [*others, tag])

    def _take_away(self, source: Source, tag: dict[str, str]) -> None:
        """Take a tag away, unless it has another value by now: then somebody else has judged these bytes."""
        before = self._get(source)
        after = [other for other in before if other != tag]
        if after != before:
            self._put(source, after)

    def _get(self, source: Source) -> list[dict[str, str]]:
        with when_gone():
            tags: list[dict[str, str]] = self._s3.get_object_tagging(**source.as_asked())["TagSet"]
        return tags

    def _put(self, source: Source, tags: list[dict[str, str]]) -> None:
        with when_gone():
            self._s3.put_object_tagging(**source.as_asked(), Tagging={"TagSet": tags})
