#!/usr/bin/env bash
# One door for everything: `./run.sh help` lists what it opens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly OLDEST_POSTGRES=15 # as in src/embedded/binaries.rs

help() {
    cat <<'END'
./run.sh demo [--fresh …]    try nadi: two clinics with realistic data, a PostgreSQL of its own; no Docker
./run.sh test [filter …]     every check and every test; with filters, the tests whose names match
./run.sh audit               licences, advisories and sources of all dependencies (cargo-deny)
./run.sh dev|prod start|stop|restart|logs:api|logs:db|clean [--volumes]
                             the same with Docker Compose; dev rebuilds on each change, prod needs a .env
./run.sh help                this

demo and test install what is missing: Rust, a C compiler, PostgreSQL, cargo-nextest.
END
}

say() { printf '== %s\n' "$*" >&2; }
die() {
    printf 'run.sh: %s\n' "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# ── what is missing ──

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        die "needs root, and there is no sudo. Run as root: $*"
    fi
}

apt_is_fresh=
apt_install() {
    if [ -z "$apt_is_fresh" ]; then
        as_root apt-get update -qq
        apt_is_fresh=yes
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

need_c_compiler() {
    have cc && return
    say "installing a C compiler"
    if have apt-get; then
        apt_install gcc libc6-dev
    elif have xcode-select; then
        die "there is no C compiler: run xcode-select --install"
    else
        die "there is no C compiler: install gcc or clang"
    fi
}

# True if version $1 is at least $2.
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

need_rust() {
    local wanted found
    PATH="$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin" # where rustup puts it
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    if ! have cargo; then
        say "installing Rust"
        if ! have rustup && have apt-get && apt-cache show rustup >/dev/null 2>&1; then
            apt_install rustup
        fi
        if have rustup; then
            rustup toolchain install stable --profile minimal --component clippy,rustfmt
            rustup default stable
        else
            if ! have curl && have apt-get; then apt_install curl ca-certificates; fi
            curl --proto '=https' --tlsv1.2 -fsS https://sh.rustup.rs |
                sh -s -- -y --no-modify-path --profile minimal --component clippy,rustfmt
        fi
    fi
    found=$(rustc --version | cut -d ' ' -f 2)
    at_least "$found" "$wanted" && return
    have rustup || die "Rust $wanted or newer is needed, and $found is here: install it from https://rustup.rs"
    say "Rust $found is too old: installing the current one"
    rustup toolchain install stable --profile minimal --component clippy,rustfmt
    export RUSTUP_TOOLCHAIN=stable
}

# The same places, in short, that nadi itself looks into.
find_postgres() {
    local candidate version
    for candidate in "${NADI_PG_BIN:+$NADI_PG_BIN/postgres}" "$(command -v postgres || true)" \
        /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
        /usr/libexec/postgresql*/postgres {/opt/homebrew,/usr/local}/opt/postgresql@*/bin/postgres \
        /Library/PostgreSQL/*/bin/postgres /Applications/Postgres.app/Contents/Versions/*/bin/postgres; do
        [ -x "$candidate" ] || continue
        version=$("$candidate" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge "$OLDEST_POSTGRES" ]; then
            PATH="$PATH:$(dirname "$candidate")" # for psql, which a test runs
            return 0
        fi
    done
    return 1
}

need_postgres() {
    find_postgres && return
    say "installing PostgreSQL"
    if have apt-get; then
        apt_install postgresql postgresql-contrib
    elif have brew; then
        brew install postgresql@17
    fi
    find_postgres ||
        die "PostgreSQL $OLDEST_POSTGRES or newer, with contrib, is needed: see https://www.postgresql.org/download/, or name its folder of programs by NADI_PG_BIN"
}

need_lints() {
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return
    have rustup || die "cargo fmt and cargo clippy are not here: install rustfmt and clippy"
    rustup component add clippy rustfmt
}

need_nextest() {
    cargo nextest --version >/dev/null 2>&1 && return
    say "installing cargo-nextest"
    cargo install --locked cargo-nextest
}

# ── try it, test it ──

demo() {
    need_c_compiler
    need_rust
    need_postgres
    say "building (the first time takes some minutes)"
    # The dev build: a release one takes several times as long, and dependencies are optimised in this one too (Cargo.toml).
    cargo build --locked --bin nadi
    exec cargo run --locked --quiet --bin nadi -- demo "$@"
}

run_tests() {
    need_c_compiler
    need_rust
    need_postgres
    need_nextest
    if [ $# -gt 0 ]; then
        exec cargo nextest run --locked "$@"
    fi
    need_lints
    say "formatting"
    cargo fmt --check
    check_scripts
    check_compose
    check_dependencies
    say "clippy"
    cargo clippy --locked --all-targets -- -D warnings
    say "tests"
    trap stop_test_server EXIT
    cargo nextest run --locked
}

# The tests leave their PostgreSQL running for the next test; after a whole run there is none.
stop_test_server() {
    local pid_file=${CARGO_TARGET_DIR:-target}/tmp/postgres/data/postmaster.pid
    [ -f "$pid_file" ] || return 0
    kill -INT "$(head -n 1 "$pid_file")" 2>/dev/null || true
}

check_scripts() {
    if ! have shellcheck && have apt-get && [ "$(id -u)" = 0 ]; then
        apt_install shellcheck || true # not worth failing for: the next line says so
    fi
    if have shellcheck; then
        say "shellcheck"
        shellcheck run.sh .ci/run deploy/*.sh
    else
        say "shellcheck is not here: scripts unchecked"
    fi
}

check_compose() {
    if docker compose version >/dev/null 2>&1; then
        say "docker compose config"
        POSTGRES_PASSWORD=x PROVISIONING_PASSWORD=x NADI_MASTER_KEY=x NADI_BASE_DOMAIN=x \
            docker compose -f docker-compose.prod.yml config --quiet
        docker compose -f docker-compose.dev.yml config --quiet
    elif have python3 && python3 -c 'import yaml' 2>/dev/null; then
        say "compose files, read by Python (Docker Compose is not here)"
        python3 deploy/check_compose.py docker-compose.dev.yml docker-compose.prod.yml
    else
        say "neither Docker Compose nor Python's yaml is here: compose files unchecked"
    fi
}

check_dependencies() {
    if cargo deny --version >/dev/null 2>&1; then
        say "licences and sources of dependencies"
        cargo deny --log-level error check --hide-inclusion-graph licenses bans sources
    else
        say "cargo-deny is not here: dependencies unchecked (./run.sh audit installs it, some minutes)"
    fi
}

audit() {
    need_c_compiler
    need_rust
    if ! cargo deny --version >/dev/null 2>&1; then
        say "installing cargo-deny"
        cargo install --locked cargo-deny
    fi
    cargo deny check
}

# ── containers ──

compose() { docker compose -p "nadi-$stage" -f "docker-compose.$stage.yml" "$@"; }

containers() {
    stage=$1
    local action=${2:-}
    shift $(($# < 2 ? $# : 2))
    case $action in
    start | stop | restart | logs:api | logs:db | clean) ;;
    *) die "wanted: ./run.sh $stage start|stop|restart|logs:api|logs:db|clean [--volumes]" ;;
    esac
    docker compose version >/dev/null 2>&1 || die "Docker Compose is not here; ./run.sh demo needs no Docker"
    docker info >/dev/null 2>&1 || die "the Docker engine does not answer; ./run.sh demo needs no Docker"
    need_env
    case $action in
    start) compose up --build --detach --wait && compose ps ;;
    stop) compose stop ;;
    restart) compose stop && compose up --build --detach --wait ;;
    logs:api) compose logs --follow --tail 200 app ;;
    logs:db) compose logs --follow --tail 200 postgres ;;
    clean) clean "$@" ;;
    esac
}

need_env() {
    [ -f .env ] && return
    [ "$stage" = dev ] || die "prod needs its settings: cp .env.example .env, and fill it in"
    say "writing .env with fresh secrets"
    (
        umask 077
        # A password of hexadecimal digits needs no quoting inside a URL.
        fresh() { od -An -N 24 -tx1 /dev/urandom | tr -d ' \n'; }
        sed -e "s|^#* *\(NADI_MASTER_KEY\)=.*|\1=$(head -c 32 /dev/urandom | base64)|" \
            -e "s|^\(POSTGRES_PASSWORD\)=.*|\1=$(fresh)|" \
            -e "s|^\(PROVISIONING_PASSWORD\)=.*|\1=$(fresh)|" .env.example >.env
    )
}

clean() {
    case "${1:-}" in
    '') compose down --remove-orphans ;;
    --volumes)
        if [ "$stage" = prod ]; then
            local answer=
            read -r -p "This deletes every clinic's data on this machine. Type 'delete' to go on: " answer || true
            [ "$answer" = delete ] || die "nothing was deleted"
        fi
        compose down --remove-orphans --volumes
        ;;
    *) die "clean takes --volumes or nothing, not $1" ;;
    esac
}

case "${1:-help}" in
demo) shift && demo "$@" ;;
test) shift && run_tests "$@" ;;
audit) audit ;;
dev | prod) containers "$@" ;;
help | -h | --help) help ;;
*)
    help >&2
    exit 2
    ;;
esac
