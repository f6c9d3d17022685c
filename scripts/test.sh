#!/usr/bin/env bash
# Everything: formatting, lints, layers, all tests with a real redis-server and a real container engine.
set -euo pipefail

ASSUME_YES=yes
. "$(dirname "$0")/setup.sh"
trap stop_engine EXIT

need_packages redis-server=redis-server dockerd=docker.io iptables=iptables musl-gcc=musl-tools gcc=gcc \
    busybox=busybox-static docker-compose=docker-compose promtool=prometheus prometheus=prometheus
need_rust

say "formatting"
cargo fmt --all --check

# A build of the whole workspace unifies features and so hides a pure crate that leans on another's: each is
# checked alone.
say "the pure crates alone"
cargo check --locked --package hemostat-event
cargo check --locked --package hemostat-core

say "lints"
cargo clippy --locked --workspace --all-targets --all-features --target "$TARGET" -- -D warnings

need_engine
say "tests"
cargo test --locked --workspace --all-features --target "$TARGET"
