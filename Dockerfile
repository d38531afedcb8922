# A bare image: the binary, its names as links, and nothing else that could be run. No script, no shell, no package manager.
#
#   docker build -t holdfast .                          the bare image
#   docker build -t holdfast:shell --target shell .     the same on Debian, with a shell
#   docker run -p 6379:6379 -e VALKEY_PASSWORD=... -v data:/data holdfast
#
# Every base is an argument: a mirror's, a hardened one, or, for a release, one pinned by digest
# (--build-arg BASE=gcr.io/distroless/cc-debian13@sha256:...). The final one needs a C library and nothing more.
ARG BUILDER=docker.io/library/rust:1.95-trixie
ARG BASE=gcr.io/distroless/cc-debian13
ARG SHELL_BASE=docker.io/library/debian:trixie-slim

FROM ${BUILDER} AS compile
RUN apt-get update && apt-get install -y --no-install-recommends \
    clang cmake golang-go libclang-dev lld perl pkg-config python3 && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
# The symbol table stays: the module's security policy is checked by its version symbol.
RUN cargo build --release --locked \
    && nm target/release/holdfast | grep -q awslc_version_string \
    && conf/container/sbom > /sbom.cdx.json \
    && conf/container/layout target/release/holdfast /out /sbom.cdx.json

# The files of the image, alone: whoever has a binary already replaces this stage
# (--build-context layout=FOLDER, where conf/container/layout made the folder).
FROM scratch AS layout
COPY --from=compile /out /

FROM ${SHELL_BASE} AS shell
COPY --from=layout / /
USER 1001
WORKDIR /data
VOLUME /data
EXPOSE 6379
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.title="Holdfast (with a shell)" \
      org.opencontainers.image.description="In-memory key-value server in FIPS mode, compatible with Valkey and Redis" \
      org.opencontainers.image.licenses="Apache-2.0"
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["valkey-cli", "-e", "ping"]
ENTRYPOINT ["/usr/local/bin/holdfast", "container"]

FROM ${BASE} AS bare
COPY --from=layout / /
USER 1001
WORKDIR /data
VOLUME /data
EXPOSE 6379
# Drains, saves and ends with status 0.
STOPSIGNAL SIGTERM
LABEL org.opencontainers.image.title="Holdfast" \
      org.opencontainers.image.description="In-memory key-value server in FIPS mode, compatible with Valkey and Redis" \
      org.opencontainers.image.licenses="Apache-2.0"
# It finds port, certificate authority and password by itself; an error reply, such as LOADING, is not healthy.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["valkey-cli", "-e", "ping"]
ENTRYPOINT ["/usr/local/bin/holdfast", "container"]
