# shellcheck shell=bash
# The stacks of the plant and how each is installed into TOOLS, sourced by ./record and ./stacks in this folder.

PY=$TOOLS/venv/bin/python
CPP=$TOOLS/snap7/bin/python
PURE=$TOOLS/python-snap7/bin/python
UA=$TOOLS/asyncua/bin/python

# missing_packages TOOL:PACKAGE...: the packages of the tools that are not there.
missing_packages() {
    local tool
    for tool; do
        command -v "${tool%%:*}" >/dev/null || echo "${tool##*:}"
    done
}

# missing_python: the packages that virtual environments need and that are not there.
missing_python() {
    missing_packages python3:python3
    python3 -c 'import venv, ensurepip' 2>/dev/null || echo python3-venv
}

install_packages() {
    [ $# -gt 0 ] || return 0
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# python_stack ENVIRONMENT REQUIREMENTS: a virtual environment, unless there is one with the same requirements already.
python_stack() {
    local into=$TOOLS/$1
    cmp -s "$2" "$into/requirements.txt" && return
    rm -rf "$into"
    python3 -m venv "$into" && "$into/bin/pip" install -q -r "$2" && cp "$2" "$into/requirements.txt"
}

stack_pymodbus() { python_stack venv requirements.txt; }

stack_libmodbus() {
    local missing
    mapfile -t missing < <(missing_packages gcc:gcc pkg-config:pkg-config)
    pkg-config --exists libmodbus 2>/dev/null || missing+=(libmodbus-dev)
    # shellcheck disable=SC2046
    install_packages "${missing[@]}" && gcc -O2 -Wall -Wextra pump.c $(pkg-config --cflags --libs libmodbus) -o "$TOOLS/pump"
}

stack_snap7() { python_stack snap7 requirements-snap7.txt; }
stack_python_snap7() { python_stack python-snap7 requirements-python-snap7.txt; }

# Certificates of servers and clients come with it.
stack_asyncua() {
    python_stack asyncua requirements-opcua.txt && { [ -e "$CERTIFICATES/weir.der" ] || "$UA" opcua_certs.py "$CERTIFICATES"; }
}
