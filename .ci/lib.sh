# shellcheck shell=bash
# What every script here shares: progress lines, quiet steps with a log, root rights, Debian packages.
# Sourced, never run. Everything a script leaves behind is under build/ in the checkout.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
state=$root/build/machine
mkdir -p "$state"

say() { printf '%s\n' "berth: $*" >&2; }

die() {
    say "$*"
    exit 1
}

# step "what it is" command…: one line on the screen; the command's output is kept, and shown only if it fails.
step() {
    local what=$1 log rc=0 began=$SECONDS
    shift
    log=$(mktemp "$state/step.XXXXXX.log")
    printf 'berth: %s … ' "$what" >&2
    # The log's descriptor and the lock's (9) must not leak into something that stays running.
    "$@" >"$log" 2>&1 9>&- || rc=$?
    if [ "$rc" -ne 0 ]; then
        printf 'failed\n' >&2
        tail -n 30 "$log" >&2
        say "the whole output is in $log"
        return "$rc"
    fi
    printf '%s s\n' "$((SECONDS - began))" >&2
    rm -f "$log"
}

# Only one script changes this checkout's set-up at a time; the others wait. Released when the script ends.
lock() {
    exec 9>"$state/lock"
    if command -v flock >/dev/null 2>&1; then
        flock 9
    fi
}

unlock() { exec 9>&-; }

is_root() { [ "$(id -u)" -eq 0 ]; }

# can_root: may we become root without help? Asks for a password only where there is a person to type it.
can_root() {
    is_root && return 0
    command -v sudo >/dev/null 2>&1 || return 1
    sudo -n true 2>/dev/null && return 0
    [ -t 0 ] && sudo -v
}

as_root() {
    if is_root; then
        "$@"
    else
        sudo "$@"
    fi
}

is_debian() { command -v apt-get >/dev/null 2>&1; }

has_package() { dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

apt_get() { as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@"; }

apt_fetch() {
    # A broken third-party source must not stop us: the installation itself says if a package is missing.
    apt_get update || true
    apt_get install --no-install-recommends "$@"
}

# need_packages "why" package…: installs those of Debian's packages that are missing, or says what to do.
need_packages() {
    local why=$1 missing=() package
    shift
    if is_debian; then
        for package in "$@"; do
            has_package "$package" || missing+=("$package")
        done
        [ ${#missing[@]} -eq 0 ] && return 0
        if can_root; then
            step "installing ${missing[*]} ($why)" apt_fetch "${missing[@]}" || die "could not install ${missing[*]}"
            return 0
        fi
        die "$why: as root, run: apt-get install ${missing[*]}   and then try again"
    fi
    die "$why: this needs what Debian calls $*; install it with this system's own package manager and try again"
}
