# shellcheck shell=bash
# The captures with S7, sourced by ./record. CPP and PURE are the environments of the two stacks.

serve_gate() { serve gate "$CPP" s7_server.py 10.20.10.11; wait_for gate 1; }
serve_sluice() { serve sluice "$PURE" s7_server.py 10.20.10.14 "${1:-102}"; wait_for sluice 1; }
serve_s7() { serve_gate; serve_sluice; }

# play_s7 STACK HOST SCENE [ARGUMENT...]: what s7_scenes.py says.
play_s7() {
    local stack=$1 host=$2
    shift 2
    on "$host" timeout 60 "$stack" s7_scenes.py "$@" >>"$WORK/log" 2>&1 || { cat "$WORK/log" >&2; exit 1; }
}

# finish_s7 NAME: ends the recording and ships it.
finish_s7() {
    stop_tap
    stop_servers
    ship "$1"
}

# engineering_s7 NAME SCENE: the engineering station plays a scene with both stacks on both controllers.
engineering_s7() {
    serve_s7
    start_tap "$1"
    for host in 10.20.10.11 10.20.10.14; do
        play_s7 "$CPP" ews "$2" "$host"
        play_s7 "$PURE" ews "$2" "$host"
    done
    finish_s7 "$1"
}

# one_s7 NAME STACK HOST SCENE [ARGUMENT...]: both controllers and one client.
one_s7() {
    local name=$1
    shift
    serve_s7
    start_tap "$name"
    play_s7 "$@"
    finish_s7 "$name"
}

s7_areas() { engineering_s7 s7-areas.pcap areas; }
s7_items() { engineering_s7 s7-items.pcap items; }
s7_blocks() { engineering_s7 s7-blocks.pcap blocks; }
s7_engineering() { engineering_s7 s7-engineering.pcap engineering; }
s7_malformed() { one_s7 s7-malformed.pcap "$PURE" ews malformed; }
s7_attack() { one_s7 s7-attack.pcap "$CPP" vendor attack; }

s7_polling() {
    serve_s7
    start_tap s7-polling.pcap
    play_s7 "$CPP" scada poll 10.20.10.11 &
    local first=$!
    play_s7 "$PURE" scada poll 10.20.10.14 &
    local second=$!
    play_s7 "$PURE" hist collect
    wait "$first" "$second"
    finish_s7 s7-polling.pcap
}

s7_pipelined() {
    serve_s7
    start_tap s7-pipelined.pcap
    play_s7 "$PURE" scada pipelined 10.20.10.11
    play_s7 "$PURE" scada pipelined 10.20.10.14
    play_s7 "$CPP" scada pipelined 10.20.10.11
    finish_s7 s7-pipelined.pcap
}

s7_connections() {
    serve_s7
    start_tap s7-connections.pcap
    for host in scada hist ews; do
        play_s7 "$CPP" "$host" connections "$host"
    done
    finish_s7 s7-connections.pcap
}

s7_violations() {
    serve_s7
    start_tap s7-violations.pcap
    for host in scada hist ews; do
        play_s7 "$CPP" "$host" violations "$host"
    done
    finish_s7 s7-violations.pcap
}

s7_new_host() {
    serve_s7
    start_tap s7-new-host.pcap
    play_s7 "$CPP" intruder new-host
    play_s7 "$PURE" stray new-host
    finish_s7 s7-new-host.pcap
}

s7_other_port() {
    serve_sluice 1102
    start_tap s7-other-port.pcap
    play_s7 "$CPP" scada other-port
    play_s7 "$PURE" ews other-port
    finish_s7 s7-other-port.pcap
}

# in_pieces NAME HOW SIZE: SCADA-1 with the C++ stack plays to PLC-SLUICE; a proxy on either host cuts what leaves it,
# on the host of the client every SIZE bytes.
in_pieces() {
    serve sluice "$PURE" s7_server.py 127.0.0.1
    wait_for sluice 1
    # The C++ stack waits forever after fragments of a few bytes.
    serve sluice "$PY" proxy.py "$2" "${4:-$3}" 10.20.10.14 127.0.0.1
    wait_for sluice 2
    serve scada "$PY" proxy.py "$2" "$3" 127.0.0.1 10.20.10.14
    wait_for scada 1
    start_tap "$1"
    play_s7 "$CPP" scada small-pieces
    finish_s7 "$1"
}

s7_bytes() { in_pieces s7-bytes.pcap segments 1; }
s7_fragments() { in_pieces s7-fragments.pcap fragments 1 13; }

s7_midstream() {
    serve_gate
    play_s7 "$CPP" scada idle-then-stop &
    local client=$!
    sleep 1.6
    start_tap s7-midstream.pcap
    wait "$client"
    finish_s7 s7-midstream.pcap
}

s7_lossy() {
    serve_gate
    start_tap whole.pcap
    play_s7 "$CPP" scada poll-quickly
    stop_tap
    stop_servers
    "$PY" rewrite.py lossy "$WORK/whole.pcap" "$WORK/s7-lossy.pcap"
    ship s7-lossy.pcap
}

# The library listens on every address, and on 102 only.
s7_partners() {
    serve sluice "$CPP" s7_partner.py passive 10.20.10.14 10.20.10.11
    wait_for sluice 1
    start_tap s7-partners.pcap
    on gate timeout 30 "$CPP" s7_partner.py active 10.20.10.11 10.20.10.14 4 >>"$WORK/log" 2>&1
    finish_s7 s7-partners.pcap
}

S7_CAPTURES=(s7-polling s7-areas s7-items s7-blocks s7-engineering s7-connections s7-violations s7-attack s7-new-host
    s7-pipelined s7-malformed s7-other-port s7-bytes s7-fragments s7-midstream s7-lossy s7-partners)
