# pam.bash - PAM services of a test's own, and keys whose text must not be found in any log.
# Loaded after ../cli/lib and process.

# Why PAM cannot load the module here; nothing where it can.
pam_missing() {
    local tool
    for tool in pamtester "$@"; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    ldconfig -p | grep -q libpam_wrapper.so || echo "libpam_wrapper.so is not here (make deps)"
    ! nm "$CATLATCH_BUILD/pam_catlatch.so" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_' ||
        echo "programs that are not sanitized cannot load a sanitized module"
}

# A daemon's folder with a service `pam`, and an empty folder of PAM services. $module is how their
# lines begin; $plain is the module alone.
open_pam_folder() {
    open_folder <<'INI'

[service pam]
requisite = format
required = table
required = environment live
required = scope
INI
    mkdir -m 755 "$dir/pam.d"
    printf '%s required pam_deny.so\n' auth account session password >"$dir/pam.d/other"
    plain=$(realpath "$CATLATCH_BUILD")/pam_catlatch.so
    module="$plain config=$CATLATCH_CONFIG service=pam"
    export LD_LIBRARY_PATH=$(realpath "$CATLATCH_BUILD")
    : >"$dir/keys" >"$dir/said"
}

# No key may be in what was logged and said; then the folder goes.
close_pam_folder() {
    local leaked=
    grep -qFf "$dir/keys" "$dir/said" && [ -s "$dir/keys" ] && leaked=yes
    remove_folder
    [ -z "$leaked" ] || {
        echo "a key is in a log"
        return 1
    }
}

pam_service() { # NAME < lines
    cat >"$dir/pam.d/$1"
}

# As make_key, for the scope that is asked for. It leaves no trace.
give_key() { # NAME OWNER [OPTION...]
    local name=$1 owner=$2
    shift 2
    make_key "$name" --owner "$owner" --scope pam:login "$@"
    echo "$key" >>"$dir/keys"
}

# A key that nobody has issued, with the right check digits.
unknown_key() { # the 36 characters behind the prefix
    python3 - "$1" <<'PY'
import sys, zlib
digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
text = "cc_live_" + sys.argv[1]
check, value = "", zlib.crc32(text.encode())
for _ in range(6):
    check, value = digits[value % 62] + check, value // 62
print(text + check)
PY
}

# Somebody logs in by pamtester; the answers are on stdin. $output has what he is told, $logged what
# went to the log.
log_in() { # [-I ITEM=VALUE] SERVICE USER OPERATION...
    run --separate-stderr env LD_PRELOAD=libpam_wrapper.so PAM_WRAPPER=1 PAM_WRAPPER_DEBUGLEVEL=2 \
        PAM_WRAPPER_SERVICE_DIR="$dir/pam.d" pamtester "$@"
    logged=$(grep -o 'SYSLOG([0-9]): .*' <<<"$stderr" || true)
    output+=$'\n'$(sed 's/PWRAP_.*//; /^$/d' <<<"$stderr")
    printf '%s\n' "$output" "$logged" >>"$dir/said"
}

expect_login() {
    expect_status 0
    expect_text "$logged" 'SYSLOG(5): opened user '
}

# He is refused so, and the log says why.
expect_no_login() { # WHAT_PAM_SAYS WHAT_THE_LOG_SAYS
    expect_status 1
    expect_text "$output" "pamtester: $1"
    expect_text "$logged" "$2"
}
