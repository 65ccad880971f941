# Recipes for people; CI calls .ci/run itself.

# Everything that CI checks.
ci:
    bash .ci/run

# The tests.
test:
    cargo test --workspace

# Format and lint.
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- -D warnings

# The main job: a real batch job on a simulated fleet.
job:
    cargo run --release -p skyfleet-examples --example portable_batch

# The figures of BENCHMARKS.md.
bench:
    cargo bench -p skyfleet-bench
