#!/usr/bin/env bash
# Builds the image and runs the lines of docs/docker.md, without Docker's engine and an image registry.
#
# Podman stands for Docker's engine; the lines go through the docker command and its compose plugin.
# The base image is made from Debian's packages. It has only the name of the real one. Not proved here:
# - that base image itself, and Docker's own engine;
# - host-gateway, which this podman does not know: the lines use the host's network and 127.0.0.1;
# - GPUs.
# It wants root on Debian, the docker command, and what scripts/install_ollama.py installs.
set -euo pipefail
cd "$(dirname "$0")/.."
source=$PWD
work=${1:-$(mktemp -d)}
uid=1234
base=docker.io/library/python:3.13-slim-trixie
ollama=$(python3 -c 'import sys; sys.path.insert(0, "scripts"); import install_ollama as i; print(i.default_prefix())')

install_tools() {
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    aardvark-dns catatonit iptables mmdebstrap netavark podman runc >/dev/null
  docker compose version 2>/dev/null && return
  mmdebstrap --quiet --variant=extract --include=docker-compose trixie "$work/tools"
  mkdir -p "$DOCKER_CONFIG/cli-plugins"
  cp "$(find "$work/tools" -path '*cli-plugins/docker-compose')" "$DOCKER_CONFIG/cli-plugins/"
}

start_engine() { # as root without CAP_SYS_RESOURCE, and with control groups of version 1
  cat >"$work/containers.conf" <<END
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
runtime = "runc"
END
  podman system service --time=0 "$DOCKER_HOST" 2>"$work/podman.log" &
  ended+=($!)
}

make_base() { # with this machine's certificates: its registries may have their own
  podman image exists "$base" && return
  mmdebstrap --quiet --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
    trixie "$work/base.tar"
  mkdir -p "$work/base"
  cp -L /etc/ssl/certs/ca-certificates.crt "$work/base/"
  printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$work/base/pip.conf"
  cat >"$work/base/Dockerfile" <<END
FROM $(podman import --quiet "$work/base.tar")
COPY ca-certificates.crt /etc/ssl/certs/
COPY pip.conf /etc/
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
RUN ln -s /usr/bin/python3 /usr/local/bin/python
END
  podman build --quiet --pull=never --tag "$base" "$work/base"
}

make_clone() { # of a user with a number that no image knows
  rm -rf "$work/clone"
  git clone --quiet "$source" "$work/clone"
  cat >"$work/clone/compose.override.yaml" <<END
services:
  llamaburn:
    network_mode: host
    extra_hosts: !override ["host.docker.internal:127.0.0.1"]
END
  chown -R "$uid" "$work/clone"
  cd "$work/clone"
}

start_ollama() { # the embedded model under the name that the lines have, unless one runs already
  curl --silent --output /dev/null http://127.0.0.1:11434/ && return
  export OLLAMA_HOST=127.0.0.1:11434 OLLAMA_MODELS="$work/models" HOME="$work"
  export GOMP_SPINCOUNT=10000 # other programs may have the processors, too
  "$ollama/bin/ollama" serve 2>"$work/ollama.log" &
  ended+=($!)
  cache=$(docker volume inspect llamaburn_cache --format '{{.Mountpoint}}')
  printf 'FROM %s\n' "$(find "$cache" -name '*.gguf')" >"$work/Modelfile"
  until "$ollama/bin/ollama" create llama3.1:8b -f "$work/Modelfile"; do sleep 1; done
}

proved() { echo "proved: $*"; }

prove_lines() {
  docker compose build
  docker compose run --rm llamaburn models pull smollm2-135m
  start_ollama
  docker compose run --rm llamaburn models | tee /dev/stderr | grep -q '^llama3.1:8b'
  docker compose run --rm llamaburn benchmark llama3.1:8b --iterations 5
  docker compose run --rm llamaburn stress --model llama3.1:8b --mode ramp
  [ "$(stat -c %u results/benchmarks/*.json results/stress/*.json | sort -u)" = "$uid" ]
  proved "the lines work as printed; their results belong to the caller"
}

prove_page() {
  docker compose up --detach web
  until address=$(docker compose logs web | grep -o 'http://127.0.0.1:7737/#token=.*'); do sleep 1; done
  curl --fail --silent --header "Authorization: Bearer ${address#*token=}" \
    http://127.0.0.1:7737/results/benchmarks | grep -q llama3.1
  curl --fail --silent http://127.0.0.1:7737/ | grep -q "<script"
  docker compose down --timeout 5
  proved "the page is served on this machine's loopback, with its token"
}

prove_embedded() {
  docker compose run --rm llamaburn benchmark smollm2-135m --iterations 2
  proved "the embedded model is measured in the container"
}

prove_limits() {
  docker run --rm --memory 1g --cpus 1.5 llamaburn status --output json |
    python3 -c 'import json, sys; m = json.load(sys.stdin)["machine"]; print(m)
assert (m["cpu_quota"], m["ram_limit_mb"]) == (1.5, 1074)'
  proved "the limits of the container stand in its status, not those of the host"
}

ended=()
trap 'kill "${ended[@]}"' EXIT
export CONTAINERS_CONF=$work/containers.conf DOCKER_BUILDKIT=0
export DOCKER_CONFIG=$work/docker DOCKER_HOST=unix://$work/podman.sock
install_tools
start_engine
make_base
make_clone
prove_lines
prove_page
prove_limits
prove_embedded
