# Sourced by the other scripts: a fresh Debian machine with Rust gets what the build still needs.

# Runs a command as root, if that is possible without asking.
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Installs a C compiler, which the allocator and the cryptography are built with, if there is none.
need_compiler() {
    if command -v cc >/dev/null; then return; fi
    echo "installing a C compiler" >&2
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        gcc libc6-dev >/dev/null
}

# Finds cargo where rustup puts it, and says what to do when it is not there.
need_cargo() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH="$HOME/.cargo/bin:$PATH"
    fi
    if ! command -v cargo >/dev/null; then
        echo "Rust is not installed: https://rustup.rs tells how" >&2
        exit 1
    fi
}
