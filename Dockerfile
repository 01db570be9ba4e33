# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS base
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/*

# Rebuilds and restarts on each change; the source is mounted (docker-compose.dev.yml).
FROM base AS dev
RUN cargo install --locked watchexec-cli
CMD ["watchexec", "--restart", "--shell=bash", "--exts=rs,toml,sql,html,css,js,ftl,typ", "--", "cargo run -- migrate central && exec cargo run -- serve"]

FROM base AS build
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin nadi && cp target/release/nadi /nadi

FROM debian:bookworm-slim AS runtime
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin nadi
COPY --from=build /nadi /usr/local/bin/nadi
USER nadi
ENV NADI_BIND=0.0.0.0:8088
EXPOSE 8088
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["curl", "-fsS", "http://127.0.0.1:8088/health/live"]
ENTRYPOINT ["nadi"]
CMD ["serve"]
