# A front for the commands that people type; CMake does the work (CMakePresets.json).
#
#   make help      lists them

DEMO_MODEL := examples/tinylm/model.safetensors
DEMO_DIR   := build/demo
BIN        := build/release/mcompress

.PHONY: all demo check interop fuzz bench bench_quantize bench_models bench_calibrate methods deps clean help

all: | build ## build/release/mcompress; installs nothing
	@cmake --preset release >build/.configure.log 2>&1 || { cat build/.configure.log; \
	    echo 'A package is missing? "make deps" installs what the build needs.' >&2; exit 1; }
	@cmake --build --preset release --target mcompress

demo: ## install missing packages, build, quantize the bundled model, show the report
	@sh cmake/install-deps.sh build
	@$(MAKE) --no-print-directory all
	@sh examples/demo.sh $(BIN) $(DEMO_MODEL) $(DEMO_DIR)

check: ## install missing packages, build, run every test
	@sh cmake/install-deps.sh build test
	@sh tests/check.sh release

interop: ## the suites that need PyPI, npm and the models in ../shared
	@sh cmake/install-deps.sh build test ci
	@$(MAKE) --no-print-directory all
	@cmake -DMC_TESTS=ON build/release >/dev/null
	@cmake --build --preset release --target safetensors_rewrite tokenizer_ids onnx_rewrite npz_rewrite imatrix_rewrite onnx_backend
	@sh tests/interop/run_interop.sh $(BIN) build/release/tests/safetensors_rewrite

fuzz: ## every libFuzzer program for FUZZ_SECONDS (30) each
	@sh cmake/install-deps.sh build ci fuzzer
	@sh tests/fuzz/run_fuzzers.sh build/fuzz

bench: ## models beside ONNX Runtime, or quantizing MODEL= beside llama.cpp: bench/README.md
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory $(if $(MODEL),bench_quantize,bench_models)

bench_quantize:
	@python3 bench/quantize_speed.py $(BIN) $(MODEL) --threads $(or $(THREADS),2) --repeat $(or $(REPEAT),3) \
	    $(if $(OUT),--out $(OUT)) $(if $(CHECK),--check) $(if $(GGUF),--gguf $(GGUF)) $(if $(LLAMA),--llama $(LLAMA)) \
	    $(if $(LLAMA_QUANTIZE),--llama-quantize $(LLAMA_QUANTIZE)) $(if $(PEER_PYTHON),--peer-python $(PEER_PYTHON))

bench_models:
	@cmake -DMC_TESTS=ON build/release >/dev/null
	@cmake --build --preset release --target model_run
	@python3 bench/model_speed.py $(BIN) build/release/tests/model_run $(or $(MODELS),../shared/models) \
	    --peer-python $(or $(PEER_PYTHON),build/venv/bin/python3) --threads $(or $(THREADS),2) --repeat $(or $(REPEAT),3) \
	    $(if $(CHECK),--check)

bench_calibrate: ## choosing codes with data on MODEL=, a Hugging Face folder
	@$(MAKE) --no-print-directory all
	@cmake -DMC_TESTS=ON build/release >/dev/null
	@cmake --build --preset release --target factor_speed
	@python3 bench/calibrate_speed.py $(BIN) build/release/tests/factor_speed $(MODEL) --threads $(or $(THREADS),2) \
	    --methods $(or $(METHODS),gptq) $(if $(CHECK),--check)

methods: ## run the methods of docs/methods.md on ../shared (hours; goes on where it was) and write its tables
	@$(MAKE) --no-print-directory all
	@python3 bench/methods.py run $(BIN) $(or $(SHARED),../shared) --peer-python $(or $(PEER_PYTHON),build/venv/bin/python3) \
	    --threads $(or $(THREADS),1) $(if $(ONLY),--only '$(ONLY)')
	@python3 bench/methods.py table
	@python3 bench/methods.py check

deps: ## install the Debian packages that building and testing need, where missing
	@sh cmake/install-deps.sh build test

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

build:
	@mkdir -p build
