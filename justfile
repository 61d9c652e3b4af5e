# The gate. It changes no source file, and it is what CI runs.
check *steps:
    cargo xtask check {{steps}}

# Rewrite what a tool can put right.
fix:
    cargo xtask fix

# Install what the gate needs, and nothing else.
setup:
    cargo xtask setup

# Serve on 127.0.0.1:6060.
run *args:
    cargo run --release -- {{args}}

# Simulate clusters: random seeds, or `just sim --seed 7`.
sim *args:
    cargo xtask sim {{args}}

# Build the image and check that it behaves as deploy/container-smoke.sh says.
container:
    deploy/container-smoke.sh
