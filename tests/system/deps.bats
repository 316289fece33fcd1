#!/usr/bin/env bats
# tools/deps on machines that this one is not: apt and dpkg are played, by what $machine holds.

load ../cli/lib

setup() {
    machine=$(mktemp -d "${TMPDIR:-/tmp}/catlatch-deps.XXXXXX")
    mkdir "$machine/bin" "$machine/installed"
    cat >"$machine/bin/dpkg-query" <<'SH'
#!/bin/sh
for package; do :; done
[ -e "$machine/installed/$package" ] || exit 1
case $* in
*Status*) echo 'install ok installed' ;;
*) cat "$machine/installed/$package" ;;
esac
SH
    cat >"$machine/bin/apt-cache" <<'SH'
#!/bin/sh
[ -e "$machine/lists" ] && grep -qx "$2" "$machine/archive" || exit 100
echo "Package: $2"
[ "$2" = clang ] && echo 'Depends: clang-18 (>= 18~)' || true
SH
    cat >"$machine/bin/apt-get" <<'SH'
#!/bin/sh
[ "$1" = update ] && exec touch "$machine/lists"
for package; do :; done
echo "$@" >"$machine/asked"
[ ! -e "$machine/broken" ] || { echo 'E: no such thing'; exit 100; }
SH
    printf '#!/bin/sh\nexec "$@"\n' >"$machine/bin/sudo"
    chmod +x "$machine"/bin/*
    printf '%s\n' clang libclang-rt-14-dev libclang-rt-18-dev >"$machine/archive"
    export machine
}

teardown() {
    rm -rf "$machine"
}

deps() {
    PATH=$machine/bin:$PATH tools/deps
}

@test "a bare machine gets the runtime of the clang that it gets, whatever that is and without lists" {
    run deps
    expect_status 0
    asked=" $(cat "$machine/asked") "
    expect_text "$asked" " clang "
    expect_text "$asked" " libclang-rt-18-dev "
    [[ $asked != *libclang-rt-14* && $asked != *libclang-common* ]]
    expect_text "$output" "deps: installing gcc make "
    expect_text "$output" "libclang-rt-18-dev"
}

@test "where the runtime has no package of its own it comes with libclang-common" {
    echo clang >"$machine/archive"
    run deps
    expect_status 0
    expect_text " $(cat "$machine/asked") " " libclang-common-18-dev "
}

@test "what is there is not installed again, and nothing is said" {
    for package in $(sed -n "/^packages=/,/'$/p" tools/deps | tr -d "'" | sed 's/^packages=//') libclang-rt-14-dev libnode-dev; do
        : >"$machine/installed/$package"
    done
    echo 'clang-14 (>= 14~)' >"$machine/installed/clang"
    touch "$machine/lists"
    run deps
    expect_status 0
    [ -z "$output" ]
    rm "$machine/installed/libclang-rt-14-dev"
    run deps
    expect_status 0
    [ "$output" = 'deps: installing libclang-rt-14-dev' ]
}

@test "when apt fails its words are shown, with status 69" {
    touch "$machine/broken"
    run deps
    expect_status 69
    expect_text "$output" 'E: no such thing'
    expect_text "$output" 'deps: apt-get install failed'
}
