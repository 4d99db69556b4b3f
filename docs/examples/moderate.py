"""What does a policy do with each of these pictures? `python moderate.py picture.png ...`.

Needs our own client: `pip install ./clients/python`.
"""

import os
import sys

from clip_moderator_client import Client, ModeratorError, Refused, Token

URL = os.environ.get("MODERATOR_URL", "http://127.0.0.1:8080")
POLICY = os.environ.get("MODERATOR_POLICY", "moderation")
TOKEN = os.environ.get("MODERATOR_TOKEN")  # none on your own machine

pictures = sys.argv[1:] or sys.exit(__doc__)
not_judged = 0
try:
    with Client(URL, auth=Token(TOKEN) if TOKEN else None) as client:
        for path, found in zip(pictures, client.moderate_all(pictures, policy=POLICY), strict=True):
            if isinstance(found, Refused):  # this picture only: the others are judged all the same
                not_judged += 1
                print(f"{path}: not judged. {found.detail}")
            else:
                why = ", ".join(f"{reason.category} ({reason.label})" for reason in found.reasons)
                print(f"{path}: {found.action}{f' because of {why}' if why else ''}")
except (ModeratorError, OSError, ValueError) as error:
    sys.exit(str(error))  # one sentence that says what would be right; nothing of it reads as "allow"
sys.exit(1 if not_judged else 0)
