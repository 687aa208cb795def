# Bare `make` lists the targets.
SHELL := /bin/bash
export GOFLAGS := -buildvcs=false

# Everything that needs no kernel in the loop; the short form of these runs under the race detector.
PURE := ./pachclient/... ./staging/... ./fs/... ./cmd/pachfs/... ./cmd/internal/... ./cmd/venv/...
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# go test whose last lines say how many tests ran, and which were skipped and why.
GOTEST := go run gotest.tools/gotestsum@v1.13.0 --format pkgname --format-hide-empty-pkg --
# Wherever this checkout is, the binary it builds.
BIN := bin/pachfs

.PHONY: help build run demo label-studio check test all-but-mounts e2e soak bench lint unit race mount-tests packages clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: $(BIN) ## build bin/pachfs

.PHONY: $(BIN)
$(BIN):
	@mkdir -p bin
	go build -o $(BIN) ./cmd/pachfs

run: packages $(BIN) ## a Pachyderm of your own with sample data, mounted at ./mnt; Ctrl-C lands and unmounts
	@go build -o bin/demo ./cmd/demo
	@exec bin/demo -pachfs $(BIN) -dir .run -mnt mnt

demo: packages $(BIN) ## the whole story by itself, step by step
	@go build -o bin/demo ./cmd/demo
	@bin/demo -story -pachfs $(BIN)

label-studio: packages $(BIN) ## Label Studio on a mount, ready to log in (LS=1.20.0 PORT=8080 PACHD=grpc://… CONTEXT=… DIR=…)
	@go build -o bin/labelstudio ./cmd/labelstudio
	@exec bin/labelstudio -pachfs $(BIN) -ls "$(LS)" -port $(or $(PORT),8080) -pachd "$(PACHD)" -context "$(CONTEXT)" $(if $(DIR),-dir "$(DIR)")

check: lint ## format, vet, staticcheck and the fast tests: the inner loop
	go test -short $(PURE)
	go test ./test -run 'Floors|Fences|Words|Package|LongFiles|TopLevel|Docs'

lint:
	@out=$$(gofmt -l cmd fs pachclient staging test); if [ -n "$$out" ]; then echo "gofmt -w these:"; echo "$$out"; exit 1; fi
	go vet ./...
	go vet -tags faults ./staging ./cmd/pachfs
	go vet -tags bench ./test/bench
	go run $(STATICCHECK) ./...

# Two lanes beside each other: mounts mostly wait. CONTRIBUTING.md has the minutes of each rung.
test: packages $(BIN) ## everything that must hold, on a fresh machine
	@$(MAKE) --no-print-directory -j2 mount-tests all-but-mounts
	@echo "make test: all rungs passed"

all-but-mounts:
	@$(MAKE) --no-print-directory -j1 lint unit race demo e2e

e2e: packages ## a real Label Studio on a mount, over its API and in a browser (LS=1.20.0 for that release)
	LS=$(LS) $(GOTEST) -timeout 40m -count=1 ./cmd/labelstudio

soak: packages ## kills, faults, power cuts and models for as long as asked (KILLS=10000)
	go test -timeout 24h -count=1 -v ./test -run 'TestKill|TestFaults|TestInterleaved' -kills $(or $(KILLS),10000) -triggers 10000 -interleavings 200
	go test -timeout 24h -count=1 -v ./staging -run 'TestPower|TestModel' -cuts 200000 -steps 200000

bench: packages ## measure against floors of the same run, and write docs/BENCHMARKS.md (ROWS=1,6 for some, to the terminal)
	go test -tags bench -timeout 4h -count=1 -v ./test/bench -rows "$(ROWS)" $(if $(ROWS),,-out $(CURDIR)/docs/BENCHMARKS.md)

unit:
	$(GOTEST) -timeout 20m $(PURE)

race:
	$(GOTEST) -race -short -timeout 20m $(PURE)

mount-tests:
	$(GOTEST) -timeout 40m -count=1 ./test/...

# What the machine has to have: fuse3 to mount at all, the others for the tests.
packages:
	@./.ci/packages $(if $(filter run demo,$(MAKECMDGOALS)),fuse3,$(if $(filter label-studio,$(MAKECMDGOALS)),fuse3 python3-venv,$$(cat test/packages.txt)))

clean: ## remove what was built and the sample data
	rm -rf bin .run
