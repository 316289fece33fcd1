# python.bash - Debian's Python with the package of plugin/python and the library of this build.
# Loaded after ../cli/lib and process.

# Why the library cannot be loaded here; nothing where it can.
python_missing() { # TOOL...
    local tool
    for tool in /usr/bin/python3 "$@"; do
        command -v "$tool" >/dev/null || echo "$tool is not here (make deps)"
    done
    ! nm -D "$CATLATCH_BUILD/libcatlatch.so" 2>/dev/null | grep -qE '__(asan|tsan|ubsan)_' ||
        echo "a Python that is not sanitized cannot load a sanitized library"
}

need_python() { # TOOL...
    local missing
    missing=$(python_missing "$@" | head -n 1)
    [ -z "$missing" ] || skip "$missing"
    PYTHONPATH=$(realpath "$BATS_TEST_DIRNAME/../../plugin/python"):$BATS_TEST_DIRNAME
    LD_LIBRARY_PATH=$(realpath "$CATLATCH_BUILD")
    export PYTHONPATH LD_LIBRARY_PATH PYTHONDONTWRITEBYTECODE=1
}

# A daemon's folder with the services that the helpers ask.
open_python_folder() {
    open_folder <<'INI'

[service default]
requisite = format
required = table
required = environment live
required = scope
required = address
required = limit

[service closed]
required = deny

[service asking]
required = socket service=default
INI
}

python_does() { # FILE [ARGUMENT...]
    timeout 60 /usr/bin/python3 -W error "$BATS_TEST_DIRNAME/$1" "${@:2}" 3>&-
}
