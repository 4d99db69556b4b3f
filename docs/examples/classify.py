"""Which of these labels fits the picture best? `python classify.py picture.png`. Needs nothing but Python."""

import base64
import json
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

URL = os.environ.get("MODERATOR_URL", "http://127.0.0.1:8080")

question = {
    "labels": {"a red circle": "round", "a blue square": "angular", "a green star": "angular"},
    "image_data": base64.b64encode(Path(sys.argv[1]).read_bytes()).decode(),
}
request = urllib.request.Request(
    f"{URL}/classify", data=json.dumps(question).encode(), headers={"Content-Type": "application/json"}
)
try:
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
except urllib.error.HTTPError as refusal:
    sys.exit(json.load(refusal)["detail"])  # one sentence that says what would be right

for label, probability in sorted(answer["result"].items(), key=lambda pair: -pair[1]):
    print(f"{probability:8.4f}  {label}")
print(answer["categories"])
