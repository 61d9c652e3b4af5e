# Winter's image: the one binary and the C library that it was linked with.
#
#   docker build --build-arg BUILD_ENV=prod -t winter:0.1.0 .
#   docker run -e RECEPTOR_PORT=1010 -it winter:0.1.0
#
# BUILD_ENV=prod builds the release profile, BUILD_ENV=dev the dev profile: quick
# to build, slow to run. Both bases can be others: BUILDER_IMAGE needs cargo and
# a C compiler; RUNTIME_IMAGE, when it is not `scratch`, needs the builder's C
# library or a later one.
ARG BUILDER_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=scratch

FROM ${BUILDER_IMAGE} AS build
ARG BUILD_ENV=prod
ARG RUNTIME_IMAGE
RUN case "$BUILD_ENV" in prod|dev) ;; *) \
      echo "BUILD_ENV is '$BUILD_ENV', and it takes prod or dev" >&2; exit 64 ;; esac
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
# The allocator's settings are compiled in from there.
COPY .cargo .cargo
COPY crates crates
RUN case "$BUILD_ENV" in prod) profile=release folder=release ;; dev) profile=dev folder=debug ;; esac \
 && cargo build --locked --package winter --bin winter --profile "$profile" --target-dir /build \
 && install -D "/build/$folder/winter" /image/usr/bin/winter \
 # Line numbers stay, for the log of a panic; packed they are a third.
 && objcopy --compress-debug-sections=zlib /image/usr/bin/winter
# An empty base has no C library: take what the binary was linked with.
RUN if [ "$RUNTIME_IMAGE" = scratch ]; then \
      ldd /image/usr/bin/winter | grep -o '/[^ ]*' | while read -r library; do \
        install -D "$(readlink -f "$library")" "/image$library"; done; fi

FROM ${RUNTIME_IMAGE}
LABEL org.opencontainers.image.title="winter" \
      org.opencontainers.image.description="A distributed in-memory table-based key-value server" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /image/ /
ENV WINTER_BIND=0.0.0.0
# Clients (RECEPTOR_PORT), probes and metrics (WINTER_HTTP_PORT), nodes (WINTER_PEER_PORT).
EXPOSE 6060 6061 6062
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/winter"]
