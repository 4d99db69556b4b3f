# Every command of the project; `make help` lists them. CI calls these and nothing else.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
export PYTHONPATH := lambda_src

# The service. HOST only from the command line: some systems have a variable of that name, with something else in it.
HOST         := 127.0.0.1
PORT         ?= 8080
CORS_ORIGINS ?= localhost
MODEL_DIR    ?=
CACHE_URL    ?=
# A terminal of one's own may show the clients' words, so that a refusal can say what was wrong.
LOG_LABELS   ?= true
# The soak
SECONDS   ?= 60
# The export
MODEL      ?= ViT-B-32-quickgelu
PRETRAINED ?= openai
OUT        ?=
PRECISION  ?= auto
TARGET     ?= graviton2
SAMPLES     ?=
VERBOSE     ?=
# Folders of pictures: `make moderate`, `make calibrate`, `make compare`
DIR        ?=
DATA       ?=
POLICY     ?= moderation
FAIL_ON    ?=
AS         ?=
REPLACE    ?=
PRECISION_TARGET ?=
RECALL_TARGET ?=
METHOD     ?=
MODELS     ?=
# Jobs on S3: `make job`, `make redrive`. Only from the command line: many systems have variables of these names.
BUCKET     :=
PREFIX     :=
INVENTORY  :=
LIST       :=
ANY_POLICY :=
STATE_MACHINE :=
EXECUTION  :=
CONCURRENCY :=
REDRIVE    :=
STOP       :=
DETACH     :=
ENDPOINT   :=
QUEUE      :=
DRY_RUN    :=
# Of `make image-tree` and `make image`
ARGS       ?=
DOCKER     ?= docker
TAG        ?= clip-video-moderator
# none: PyPI's own torch, with CUDA
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
BASE_IMAGE ?=
# Of `make measure`: a deployed stack
URL        ?=
FUNCTION   ?=
AUTH       ?=
PICTURE    ?=
TOKEN      ?=
export TOKEN

# A value as one word for the shell, whatever is in it.
quoted = '$(subst ','\'',$(1))'

RELIABILITY_TESTS := $(addprefix lambda_src/tests/,$(addprefix test_,lambda_runtime.py store_failures.py \
  store_cluster.py hostile_pictures.py hostile_requests.py largest_bodies.py out_of_time.py \
  openapi_fuzzed.py nothing_leaks.py) web/test_server_odd_requests.py)

.PHONY: help run test test-fast check moderate calibrate compare bench bench-jobs bench-arm audit soak reliability screenshots videos model demo-model image image-tree measure job job-local redrive job-costs supported-models lock format clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

# The demo model with its labels precomputed: a copy, so that what is under version control stays as it is.
DEMO := build/demo_model
CONFIGURED := $(wildcard lambda_src/label_sets/*.json lambda_src/policies/*.json)

$(DEMO)/labels.safetensors: $(VENV)/.runtime $(wildcard lambda_src/demo_model/*) $(CONFIGURED)
	@mkdir -p $(DEMO) && cp -R lambda_src/demo_model/. $(DEMO)
	@MODEL_DIR=$(DEMO) $(BIN)/python -m moderator.jobs.precompute
	@touch $@

run: $(VENV)/.runtime $(if $(MODEL_DIR),,$(DEMO)/labels.safetensors) ## Serve on http://127.0.0.1:8080 (HOST=, PORT=, MODEL_DIR=, CACHE_URL=redis://..., CORS_ORIGINS=)
	@export MODEL_DIR=$(call quoted,$(or $(MODEL_DIR),$(DEMO))); \
	$(if $(CACHE_URL),export CACHE_URL=$(call quoted,$(CACHE_URL));) \
	export LOG_LABELS=$(call quoted,$(LOG_LABELS)); \
	exec $(BIN)/python -m moderator.web.server --host $(call quoted,$(HOST)) --port $(call quoted,$(PORT)) \
	  --cors-origins $(call quoted,$(CORS_ORIGINS))

# A word that must be given, or the whole of the working folder would be meant.
needed = @test -n $(call quoted,$($(1))) || { echo "$(1)= is needed: $(2)." >&2; exit 2; }

moderate: $(VENV)/.tools ## Judge a folder of pictures and videos (DIR=, POLICY=, MODEL_DIR=, OUT=, FAIL_ON=review|block)
	$(call needed,DIR,a folder of pictures)
	$(if $(MODEL_DIR),MODEL_DIR=$(call quoted,$(MODEL_DIR))) $(BIN)/python -m tools.folder $(call quoted,$(DIR)) \
	  --policy $(call quoted,$(POLICY)) $(if $(OUT),--out $(call quoted,$(OUT))) \
	  $(if $(FAIL_ON),--fail-on $(call quoted,$(FAIL_ON)))

calibrate: $(VENV)/.tools ## Thresholds from labelled pictures, as a new policy POLICY-next (DATA=, POLICY=, AS=another name, REPLACE=1 to write over a policy of your own, MODEL_DIR=, OUT=, PRECISION_TARGET=, RECALL_TARGET=, METHOD=platt|isotonic)
	$(call needed,DATA,a folder with a folder a category or a CSV file)
	$(if $(MODEL_DIR),MODEL_DIR=$(call quoted,$(MODEL_DIR))) $(BIN)/python -m tools.calibration $(call quoted,$(DATA)) \
	  --policy $(call quoted,$(POLICY)) $(if $(AS),--name $(call quoted,$(AS))) $(if $(filter 1 true yes,$(REPLACE)),--replace) \
	  $(if $(OUT),--out $(call quoted,$(OUT))) $(if $(METHOD),--method $(call quoted,$(METHOD))) \
	  $(if $(PRECISION_TARGET),--precision $(call quoted,$(PRECISION_TARGET))) \
	  $(if $(RECALL_TARGET),--recall $(call quoted,$(RECALL_TARGET)))

compare: $(VENV)/.tools ## Several exported models on the same labelled pictures (DATA=, POLICY=, MODELS="folder folder", OUT=)
	$(call needed,DATA,a folder with a folder a category or a CSV file)
	$(call needed,MODELS,folders of exported models)
	$(BIN)/python -m tools.calibration.compare $(call quoted,$(DATA)) --policy $(call quoted,$(POLICY)) \
	  $(if $(OUT),--out $(call quoted,$(OUT))) --models $(MODELS)

test: $(VENV)/.dev redis chromium ffmpeg ministack qemu ## Run every test
	$(BIN)/python -m pytest -q

test-fast: $(VENV)/.dev redis ## Run the tests that take less than a minute together: all but those marked slow
	$(BIN)/python -m pytest -q -m 'not slow'

bench: $(VENV)/.bench redis ## Measure everything: docs/benchmark.md for people, build/bench.json for programs
	$(BIN)/python -W ignore -m bench

check: $(VENV)/.dev ## Formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy .

format: $(VENV)/.dev ## Format the code and fix what lint can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench-jobs: $(VENV)/.bench $(DEMO)/labels.safetensors ## Measure the worker of jobs: docs/benchmark-jobs.md (MODEL_DIR= of an exported model beside the demo model)
	$(BIN)/python -W ignore -m bench.jobs $(if $(MODEL_DIR),--model-dir $(call quoted,$(MODEL_DIR)))

bench-arm: $(VENV)/.dev emulator ## Count for Graviton2 under emulation: docs/benchmark-arm.md and that target's costs
	$(BIN)/python -W ignore -m bench.arm

audit: $(VENV)/.dev ## Known vulnerabilities of what runs in the Lambda (tools/audit.py: 1 some, 3 nothing was audited)
	@$(BIN)/python -m tools.audit

screenshots: $(VENV)/.dev chromium ## Take docs/page*.png again: the page at three widths, light and dark
	POWERTOOLS_METRICS_DISABLED=true PYTHONPATH=lambda_src:lambda_src/tests $(BIN)/python -W ignore -m tools.screenshots

soak: $(VENV)/.dev redis ## Eight clients for a minute while the store fails and returns (SECONDS=); build/soak.json
	PYTHONPATH=lambda_src:lambda_src/tests $(BIN)/python -m tools.soak --seconds $(SECONDS) --out build/soak.json

reliability: $(VENV)/.dev redis ## Run the reliability tests and write docs/reliability.md from their counts
	rm -f build/reliability.json
	RELIABILITY_JSON=build/reliability.json $(BIN)/python -m pytest -q $(RELIABILITY_TESTS)
	$(BIN)/python -m tools.reliability

videos: $(VENV)/.dev ffmpeg ## Judge generated videos and write what that took into docs/videos.md
	PYTHONPATH=lambda_src:lambda_src/tests $(BIN)/python -m tools.videos

model: $(VENV)/.dev ## Export a model (MODEL=, PRETRAINED=tag|path|none, OUT=, PRECISION=auto|fp32|int8, TARGET=graviton2|x86-vnni, SAMPLES=DIR, VERBOSE=1)
	@$(BIN)/python -m model_build.export --model $(call quoted,$(MODEL)) --pretrained $(call quoted,$(PRETRAINED)) \
	  --out $(call quoted,$(or $(OUT),models/vit-b-32)) --precision $(call quoted,$(PRECISION)) \
	  --target $(call quoted,$(TARGET)) \
	  $(if $(SAMPLES),--samples $(call quoted,$(SAMPLES))) $(if $(VERBOSE),--verbose)
	@MODEL_DIR=$(call quoted,$(or $(OUT),models/vit-b-32)) $(BIN)/python -m moderator.jobs.precompute

demo-model: $(VENV)/.dev ## Train the demo model again from scratch
	$(BIN)/python -m model_build.demo --out lambda_src/demo_model

image-tree: $(VENV)/.dev ## Make the image's files without a container engine and check them (ARGS=--native, --model, ...)
	$(BIN)/python -m tools.image_tree $(ARGS)

# Any engine with BuildKit, or podman. Lambda takes no index of images, which a record of provenance would make of it.
image: $(VENV)/.dev ## Build the arm64 image with a container engine and check it; nothing is pushed (TAG=, MODEL=demo|..., PRETRAINED=, TORCH_INDEX=url|none, BASE_IMAGE=, DOCKER=, ARGS=)
	$(BIN)/python -m tools.image_tree.build --docker $(call quoted,$(DOCKER)) --tag $(call quoted,$(TAG)) \
	  $(if $(filter command line environment,$(origin MODEL)),--model $(call quoted,$(MODEL)) --pretrained $(call quoted,$(PRETRAINED))) \
	  --precision $(call quoted,$(PRECISION)) --torch-index $(call quoted,$(or $(TORCH_INDEX),none)) \
	  $(if $(BASE_IMAGE),--base-image $(call quoted,$(BASE_IMAGE))) -- $(ARGS)

measure: $(VENV)/.tools ## Measure a deployed stack: one table for an issue (URL=, FUNCTION=, AUTH=iam|token|jwt|none, TOKEN=, PICTURE=)
	$(call needed,URL,what pulumi stack output url says)
	@$(BIN)/python -m tools.measure $(call quoted,$(URL)) $(if $(FUNCTION),--function $(call quoted,$(FUNCTION))) \
	  $(if $(AUTH),--auth $(call quoted,$(AUTH))) $(if $(PICTURE),--picture $(call quoted,$(PICTURE)))

# An option of a command, where its variable has a value.
option = $(if $($(2)),--$(1) $(call quoted,$($(2))))

job: $(VENV)/.tools ## Judge what is in S3 (BUCKET= PREFIX= | INVENTORY=s3://.. | LIST=s3://.., POLICY=, STATE_MACHINE=, DETACH=1, EXECUTION=arn, CONCURRENCY=, REDRIVE=arn, STOP=arn, ENDPOINT=)
	@$(BIN)/python -m tools.jobs $(call option,bucket,BUCKET) $(call option,prefix,PREFIX) \
	  $(call option,inventory,INVENTORY) $(call option,list,LIST) $(call option,policy,POLICY) \
	  $(if $(ANY_POLICY),--any-policy) $(call option,state-machine,STATE_MACHINE) $(if $(DETACH),--detach) \
	  $(call option,execution,EXECUTION) $(call option,redrive,REDRIVE) $(call option,stop,STOP) \
	  $(call option,concurrency,CONCURRENCY) $(call option,endpoint,ENDPOINT)

redrive: $(VENV)/.tools ## Put uploads that were given up back into the stream's queue (DRY_RUN=1 only lists them, QUEUE=, ENDPOINT=)
	@$(BIN)/python -m tools.jobs.redrive $(call option,queue,QUEUE) $(if $(DRY_RUN),--dry-run) $(call option,endpoint,ENDPOINT)

job-local: $(VENV)/.dev ministack ## Try a job on a local AWS with a folder's pictures (DIR=, POLICY=, MODEL_DIR=)
	$(call needed,DIR,a folder of pictures)
	@$(if $(MODEL_DIR),MODEL_DIR=$(call quoted,$(MODEL_DIR))) PYTHONPATH=lambda_src:lambda_src/tests \
	  $(BIN)/python -W ignore -m tools.jobs.desk $(call quoted,$(DIR)) --policy $(call quoted,$(POLICY))

job-costs: $(VENV)/.runtime ## Write the costs' arithmetic of jobs into docs/jobs.md
	$(BIN)/python -m tools.jobs.costs

supported-models: $(VENV)/.dev ## Write infra/models.json again: the models and weights that a stack may choose
	$(BIN)/python -m infra.tests.exportable

lock: $(VENV)/.dev ## Pin the Lambda's requirements again, with hashes
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  lambda_src/requirements.in -o lambda_src/requirements.txt
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  lambda_src/requirements-videos.in -o lambda_src/requirements-videos.txt

clean: ## Remove what the other targets made
	rm -rf $(VENV) build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# A virtual environment whose making was interrupted has no pip, and one whose Python was taken away does not start.
define sound_venv
@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null || { \
  echo "$(VENV) has no pip, and Python cannot install it there: install python3-venv, remove $(VENV) and run make again."; exit 1; }
endef

# What the service needs, and no more: seconds, not minutes.
$(VENV)/.runtime: lambda_src/requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: set PYTHON=.")'
	$(sound_venv)
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes -r lambda_src/requirements.txt
	@touch $@

$(VENV)/.tools: $(VENV)/.runtime tools/requirements.txt
	$(BIN)/python -m pip install --quiet -r tools/requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt requirements.txt lambda_src/model_build/requirements.txt tools/requirements.txt
	$(sound_venv)
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

# What today's service is measured beside. Where a wheel does not install, the page says so in place of its figures.
$(VENV)/.bench: $(VENV)/.dev bench/requirements.txt
	-$(BIN)/python -m pip install --quiet -r bench/requirements.txt
	@touch $@

# The tests talk to a real server.
.PHONY: redis
redis:
	@command -v redis-server >/dev/null || command -v valkey-server >/dev/null || { \
	  echo "Installing redis-server, which the tests start themselves."; \
	  if command -v brew >/dev/null; then brew install redis; \
	  elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq redis-server; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq redis-server; \
	  else echo "Please install redis-server or valkey-server: the tests need one of them."; exit 1; fi; }

# What `make bench-arm` counts with; nothing is needed of it elsewhere.
.PHONY: emulator
emulator:
	@command -v qemu-aarch64 >/dev/null && test -x /usr/lib/llvm-19/bin/llvm-mca && command -v gcc >/dev/null || { \
	  echo "Installing qemu-user, llvm-19 and gcc, by which instructions are counted."; \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-user llvm-19 gcc libc6-dev; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends qemu-user llvm-19 gcc libc6-dev; \
	  else echo "Please install qemu-user, llvm-19 and gcc: counting needs Debian's."; exit 1; fi; }

# A local AWS, on which jobs are tried. It pins a botocore of its own, so it has an environment of its own.
MINISTACK := build/ministack
.PHONY: ministack
ministack: $(MINISTACK)/.made
$(MINISTACK)/.made: tools/emulator/requirements.txt
	@mkdir -p build && $(PYTHON) -m venv --clear $(MINISTACK)
	$(MINISTACK)/bin/python -m pip install --quiet -r tools/emulator/requirements.txt
	@touch $@

# The page is tried in a real browser; nothing is downloaded but Debian's own. With Inter the screenshots look the same everywhere.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  echo "Installing chromium, in which the page is tried."; \
	  if command -v brew >/dev/null; then brew install --cask chromium; \
	  elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq chromium fonts-inter; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq chromium fonts-inter; \
	  else echo "Please install chromium: the tests need it."; exit 1; fi; }

# A tower is tried on x86 processors that this machine may not be. Only Linux emulates single programs; elsewhere that is left out.
.PHONY: qemu
qemu:
	@command -v qemu-x86_64 >/dev/null || test "$$(uname -s)" != Linux || { \
	  echo "Installing qemu-user, in which towers are tried on other processors."; \
	  if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq --no-install-recommends qemu-user; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq --no-install-recommends qemu-user; \
	  else echo "Please install qemu-user: the tests need it."; exit 1; fi; }

# The tests draw their videos. What the service decodes them with is not this one, but PyAV's own.
.PHONY: ffmpeg
ffmpeg:
	@command -v ffmpeg >/dev/null || { \
	  echo "Installing ffmpeg, with which the tests make videos."; \
	  if command -v brew >/dev/null; then brew install ffmpeg; \
	  elif command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then apt-get update -qq && apt-get install -y -qq ffmpeg; \
	  elif command -v apt-get >/dev/null && command -v sudo >/dev/null; then sudo apt-get update -qq && sudo apt-get install -y -qq ffmpeg; \
	  else echo "Please install ffmpeg: the tests need it."; exit 1; fi; }
