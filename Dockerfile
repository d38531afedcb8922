# A bare image: the binary, its names as links, certificates' folder and nothing else that could be run.
#
#   docker build -t holdfast .
#   docker run -p 6379:6379 -v data:/data holdfast
#
# Both bases can be replaced, by a mirror's or by hardened ones; the final one needs a C library and nothing more.
ARG BUILDER=rust:1.95-trixie
ARG BASE=gcr.io/distroless/cc-debian13

FROM ${BUILDER} AS build
RUN apt-get update && apt-get install -y --no-install-recommends \
    clang cmake golang-go libclang-dev lld perl pkg-config && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN cargo build --release --locked \
    # The symbol table stays: the module's security policy is checked by its version symbol.
    && nm target/release/holdfast | grep -q awslc_version_string \
    && mkdir -p /out/usr/local/bin /out/data /out/etc/holdfast \
    && cp target/release/holdfast /out/usr/local/bin/ \
    && for name in valkey-server valkey-cli redis-server redis-cli; do ln -s holdfast /out/usr/local/bin/$name; done \
    && cp conf/holdfast.conf /out/etc/holdfast/ \
    && chown -R 1001:0 /out/data && chmod 0770 /out/data

FROM ${BASE}
COPY --from=build /out /
USER 1001
WORKDIR /data
VOLUME /data
EXPOSE 6379
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s CMD ["holdfast", "cli", "ping"]
# Containers are stopped with SIGTERM, which drains and ends with status 0.
ENTRYPOINT ["holdfast"]
CMD ["server", "/etc/holdfast/holdfast.conf", "--dir", "/data"]
