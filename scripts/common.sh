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

# Installs Python, which runs the cases of conformance/, if there is none.
need_python() {
    if command -v python3 >/dev/null; then return; fi
    echo "installing Python" >&2
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        python3 >/dev/null
}

# Installs the MQTT server that the tests publish to, and what makes its certificates.
need_mosquitto() {
    if [ -x /usr/sbin/mosquitto ] && command -v openssl >/dev/null; then return; fi
    if ! command -v apt-get >/dev/null; then
        echo "mosquitto is not installed: the tests of MQTT will fail" >&2
        return
    fi
    echo "installing mosquitto" >&2
    as_root apt-get update -qq
    # Debian would start it as a service, on the usual port, which nobody asked for.
    policy=/usr/sbin/policy-rc.d
    if [ -e "$policy" ]; then policy=""; fi
    if [ -n "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
    fi
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        mosquitto openssl >/dev/null
    if [ -n "$policy" ]; then as_root rm -f "$policy"; fi
}
